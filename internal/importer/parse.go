package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// parser turns rows into what the rooms take. It is for one goroutine.
type parser struct {
	s      *Service
	kind   Kind
	actor  authz.Actor
	setup  Setup
	layout Layout
	lang   i18n.Lang // of texts that are stored: remarks, notes
	now    time.Time

	people      map[string]org.Person // by name; ID 0: nobody, or several
	departments map[string]org.Department
	fits        map[[2]int64]bool
	fallback    int64 // department of customers without one
	own         []OwnColumn
}

func (s *Service) newParser(ctx context.Context, k Kind, actor authz.Actor, setup Setup, l Layout) (*parser, error) {
	p := &parser{s: s, kind: k, actor: actor, setup: setup, layout: l, lang: setup.Lang, now: s.db().Clock().Now(),
		people: map[string]org.Person{}, departments: map[string]org.Department{}, fits: map[[2]int64]bool{}}
	if p.lang == "" {
		p.lang = i18n.ZhCN
	}
	var err error
	if p.own, err = s.Own(ctx, k, p.lang); err != nil {
		return nil, err
	}
	p.fallback = setup.Department
	if p.fallback == 0 {
		p.fallback = actor.DepartmentID
	}
	if p.fallback == 0 {
		tree, err := s.org.Tree(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range tree { // the first that is not the whole company
			if d.Active && (p.fallback == 0 || d.Depth == 1) {
				p.fallback = d.ID
				if d.Depth == 1 {
					break
				}
			}
		}
	}
	if p.fallback == 0 {
		return nil, fault.Invalidf("importer.no_department")
	}
	return p, nil
}

// batch is a stretch of the table, read and understood.
type batch struct {
	kind      Kind
	from, to  int // lines
	lines     []Line
	customers []customer.ImportRow
	tickets   []ticket.ImportRow
	at        []int      // index into lines of each row to be taken in
	twins     [][]string // what must not occur twice in the table, by row
	warnings  [][]Reason // of each row to be taken in
	keep      bool       // twins are taken in too
}

func (p *parser) batch(ctx context.Context, rows []numbered) (*batch, error) {
	b := &batch{kind: p.kind, keep: p.setup.Twins == KeepTwins, from: rows[0].line, to: rows[len(rows)-1].line, lines: make([]Line, len(rows))}
	var err error
	if p.kind == Customers {
		err = p.customers(ctx, b, rows)
	} else {
		err = p.tickets(ctx, b, rows)
	}
	return b, err
}

// understand is batch for a goroutine of its own, where a panic would end the
// program.
func (p *parser) understand(ctx context.Context, rows []numbered) (b *batch, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("importer: lines from %d: panic: %v\n%s", rows[0].line, r, debug.Stack())
		}
	}()
	return p.batch(ctx, rows)
}

// check says what taking the batch in would do.
func (b *batch) check(ctx context.Context, s *Service, actor authz.Actor, seen map[string]bool) error {
	var errs []error
	var before []bool
	note := func(i int, was bool, warning *fault.Error, err error) {
		errs, before = append(errs, err), append(before, was)
		b.note(i, was, warning, err)
	}
	if b.kind == Customers {
		out, err := s.customers.CheckImport(ctx, actor, b.customers)
		if err != nil {
			return err
		}
		for i, o := range out {
			note(i, o.Before, o.Warning, o.Err)
		}
	} else {
		out, err := s.tickets.CheckImport(ctx, b.tickets)
		if err != nil {
			return err
		}
		for i, o := range out {
			note(i, o.Before, o.Warning, o.Err)
		}
	}
	// Rows of earlier batches are not in the database yet.
	for i, twins := range b.twins {
		if errs[i] != nil || before[i] {
			continue
		}
		for _, t := range twins {
			l := &b.lines[b.at[i]]
			switch {
			case !seen[t] || l.Result == Skipped:
			case b.keep && !strings.HasPrefix(t, "key:"):
				l.Result, l.Reasons = Warned, append(l.Reasons, because("importer.reason.twin"))
			default:
				*l = Line{l.Line, Skipped, []Reason{because("importer.reason.twin")}}
			}
		}
		if b.lines[b.at[i]].Result != Skipped {
			for _, t := range twins {
				seen[t] = true
			}
		}
	}
	return nil
}

// write takes the batch in.
func (b *batch) write(ctx context.Context, s *Service, a *action.Action) error {
	if len(b.at) == 0 {
		a.Nothing()
		return nil
	}
	if b.kind == Customers {
		out, err := s.customers.Import(ctx, a, b.customers)
		if err != nil {
			return err
		}
		for i, o := range out {
			b.note(i, o.Before, o.Warning, o.Err)
		}
		return nil
	}
	out, err := s.tickets.Import(ctx, a, b.tickets)
	if err != nil {
		return err
	}
	for i, o := range out {
		b.note(i, o.Before, o.Warning, o.Err)
	}
	return nil
}

// note writes down what became of row i of those to be taken in. It may be
// called again when the action runs again.
func (b *batch) note(i int, before bool, warning *fault.Error, err error) {
	l, warnings := &b.lines[b.at[i]], slices.Clone(b.warnings[i])
	switch {
	case before:
		l.Result, l.Reasons = Skipped, []Reason{because("importer.reason.before")}
	case err != nil:
		l.Result, l.Reasons = Refused, reasonsOf(err)
		if fault.Is(err, fault.Conflict) {
			l.Result = Skipped
		}
	default:
		if warning != nil {
			warnings = append(warnings, Reason{warning.Key, warning.Args})
		}
		l.Result, l.Reasons = Imported, warnings
		if len(warnings) > 0 {
			l.Result = Warned
		}
	}
}

// rowReader reads one row and collects what is wrong with it.
type rowReader struct {
	*parser
	cells
	bad      []Reason
	warnings []Reason
	remarks  []string
}

func (p *parser) reader(row []string) *rowReader {
	return &rowReader{parser: p, cells: cells{p.kind, &p.layout, row}}
}

func (r *rowReader) label(f Field) i18n.Key { return i18n.Key(Key(r.cells.kind, f)) }

func (r *rowReader) fail(key string, args ...any) { r.bad = append(r.bad, because(key, args...)) }

func (r *rowReader) warn(key string, args ...any) {
	r.warnings = append(r.warnings, because(key, args...))
}

// keep saves what a field says for people, when it means nothing to the program.
func (r *rowReader) keep(f Field, value string) {
	r.remarks = append(r.remarks, i18n.T(r.lang, "importer.kept", r.label(f), value))
}

// code reads a word; one that is not known is kept as a remark.
func (r *rowReader) code(f Field, w words, otherwise string) string {
	v := r.get(f)
	if v == "" {
		return otherwise
	}
	code, ok := w.find(v)
	if !ok {
		r.warn("importer.warn.word", r.label(f), short(v, 30))
		r.keep(f, v)
		return otherwise
	}
	return code
}

// time reads a date; the zero time when the cell is empty.
func (r *rowReader) time(f Field, future bool) (at time.Time, exact bool) {
	v := r.get(f)
	if v == "" {
		return at, false
	}
	at, exact, ok := parseTime(v)
	switch {
	case !ok:
		r.fail("importer.reason.date", r.label(f), short(v, 30))
	case !future && at.After(r.now.Add(24*time.Hour)):
		r.fail("importer.reason.future", r.label(f), short(v, 30))
	case !future && at.After(r.now):
		at = r.now // a few hours ahead: another zone or a wrong clock
	}
	return at, exact
}

// person finds a colleague by name; ID 0 when there is none, or several.
func (p *parser) person(ctx context.Context, name string) (org.Person, error) {
	if who, ok := p.people[name]; ok {
		return who, nil
	}
	who, _, err := p.s.org.PersonByName(ctx, nil, name)
	if err == nil && who.ID == 0 {
		if cut := strings.TrimSpace(brackets.ReplaceAllString(name, "")); cut != name && cut != "" {
			who, _, err = p.s.org.PersonByName(ctx, nil, cut)
		}
	}
	if err == nil {
		remember(p.people, name, who)
	}
	return who, err
}

// department finds a department by its name, its path or its name without 部.
func (p *parser) department(ctx context.Context, name string) (org.Department, error) {
	if d, ok := p.departments[name]; ok {
		return d, nil
	}
	tries := []string{name}
	if i := strings.LastIndexAny(name, "/\\>-—"); i >= 0 {
		tries = append(tries, strings.TrimSpace(strings.TrimLeft(name[i:], "/\\>-—")))
	}
	for _, n := range slices.Clone(tries) {
		if !strings.HasSuffix(n, "部") {
			tries = append(tries, n+"部")
		}
	}
	var d org.Department
	for _, n := range tries {
		found, ok, err := p.s.org.DepartmentByName(ctx, nil, n)
		if err != nil {
			return d, err
		}
		if ok {
			d = found
			break
		}
	}
	remember(p.departments, name, d)
	return d, nil
}

// remember keeps an answer; a table in which every row names somebody else must
// not fill the memory.
func remember[V any](m map[string]V, k string, v V) {
	if len(m) < 5000 {
		m[k] = v
	}
}

// key makes what a row is recognised by when it comes again.
func (p *parser) key(id string, content ...string) string {
	if id != "" {
		return "table:" + string(p.kind) + ":" + p.setup.Source + ":" + plain(id)
	}
	h := sha256.New()
	for _, c := range content {
		h.Write([]byte(plain(c)))
		h.Write([]byte{0})
	}
	return "table:" + string(p.kind) + ":" + p.setup.Source + "#" + hex.EncodeToString(h.Sum(nil)[:16])
}

var (
	longNumber = regexp.MustCompile(`[0-9０-９](?:[ .·－-]?[0-9０-９]){5,}`)
	anAddress  = regexp.MustCompile(`[^\s;；,，]+[@＠]\S*`)
)

// veil hides what may be somebody's number or address, only wrongly written: it
// goes where everybody reads it, and into the database in clear. The result file
// has the row as it was.
func veil(s string) string {
	s = longNumber.ReplaceAllStringFunc(s, func(n string) string {
		r := []rune(n)
		return "****" + string(r[len(r)-4:])
	})
	return anAddress.ReplaceAllString(s, "****")
}

var nameSeparators = regexp.MustCompile(`[、/;；,，|｜\n]+`)

// contacts reads 联系人 and 联系方式: several numbers in a cell, mail and WeChat
// addresses among them.
func (r *rowReader) contacts(company bool, name string) (out []customer.ContactInput, keys []string) {
	who, reach := r.get(fContact), r.get(fPhone)
	emails := emailIn.FindAllString(reach+" "+r.get(fEmail), -1)
	rest := emailIn.ReplaceAllString(reach, " ; ")
	wechats := []string{}
	if w := r.get(fWechat); w != "" {
		wechats = append(wechats, w)
	}
	for _, m := range wechatIn.FindAllStringSubmatch(rest, -1) {
		wechats = append(wechats, m[1])
	}
	rest = wechatIn.ReplaceAllString(rest, " ; ")
	rest = phoneTails.ReplaceAllString(phoneWords.ReplaceAllString(rest, " ; $1"), "$1 ; ")
	if mail := r.get(fEmail); mail != "" && !emailIn.MatchString(mail) {
		r.warn("importer.warn.email", veil(short(mail, 40)))
		r.keep(fEmail, veil(mail))
	}
	var phones, wrong []string
	area, lost := false, false
	for _, piece := range cnid.SplitPhones(rest) {
		if strings.Trim(piece, " ;:：()（）-") == "" {
			continue
		}
		p, err := cnid.ParsePhone(piece)
		switch {
		case scientific.MatchString(piece):
			r.warn("importer.warn.scientific", veil(short(piece, 30)))
			r.keep(fPhone, veil(piece))
			lost = true
		case err == nil:
			if !slices.Contains(phones, p.String()) {
				phones = append(phones, p.String())
				if p.Kind != cnid.Short {
					keys = append(keys, "phone:"+p.Key())
				}
			}
			if p.Warning {
				r.warn("importer.warn.phone_shape", veil(short(piece, 30)))
			}
		default:
			wrong, area = append(wrong, veil(short(piece, 30))), area || errors.Is(err, cnid.ErrPhoneAreaCode)
		}
	}
	if len(phones)+len(emails)+len(wechats) == 0 {
		switch {
		case lost:
			r.fail("importer.reason.scientific", veil(short(reach, 30)))
		case len(wrong) == 0:
			r.fail("importer.reason.empty", r.label(fPhone))
		case area:
			r.fail("importer.reason.area_code", strings.Join(wrong, " "))
		default:
			r.fail("importer.reason.phone", strings.Join(wrong, " "))
		}
		return nil, nil
	}
	for _, w := range wrong {
		r.warn("importer.warn.phone", w)
		r.keep(fPhone, w)
	}
	names := nameSeparators.Split(who, -1)
	names = slices.DeleteFunc(names, func(s string) bool { return strings.TrimSpace(s) == "" })
	pick := func(i int) string {
		switch {
		case len(names) > 1 && i < len(names) && len(names) >= len(phones):
			return strings.TrimSpace(names[i])
		case len(names) > 0:
			return strings.TrimSpace(names[0])
		case company:
			return i18n.T(r.lang, "importer.contact.unnamed")
		}
		return name
	}
	n := max(len(phones), 1)
	if len(names) > n && len(phones) > 0 {
		r.keep(fContact, who)
	}
	for i := range n {
		c := customer.ContactInput{Name: pick(i), Primary: i == 0}
		c.Name, c.Gender = addressed(c.Name)
		if i < len(phones) {
			c.Phone = phones[i]
		}
		if i < len(emails) {
			c.Email = strings.Join(strings.Fields(strings.ReplaceAll(emails[i], "＠", "@")), "")
		}
		if i < len(wechats) {
			c.Wechat = wechats[i]
		}
		if i == 0 {
			c.Position = r.get(fPosition)
			if g, ok := genders.find(r.get(fGender)); ok {
				c.Gender = g
			}
		}
		out = append(out, c)
	}
	return out, keys
}

// addressed takes the address off a name: 李女士 stays as it is, because it is
// all that is known; 李莉（女士） is 李莉, female.
func addressed(name string) (string, string) {
	for _, g := range []struct{ word, code string }{{"先生", "male"}, {"女士", "female"}, {"小姐", "female"}} {
		if strings.Contains(name, g.word) {
			cut := strings.TrimSpace(strings.Trim(strings.ReplaceAll(name, g.word, ""), " ()（）"))
			if len([]rune(cut)) >= 2 {
				return cut, g.code
			}
			return name, g.code
		}
	}
	return name, ""
}

func (p *parser) customers(ctx context.Context, b *batch, rows []numbered) error {
	for i, row := range rows {
		b.lines[i].Line = row.line
		r := p.reader(row.cells)
		if r.total() {
			b.lines[i].Result, b.lines[i].Reasons = Skipped, []Reason{because("importer.reason.total")}
			continue
		}
		in, twins, err := r.customer(ctx)
		if err != nil {
			return err
		}
		if len(r.bad) > 0 {
			b.lines[i].Result, b.lines[i].Reasons = Refused, r.bad
			continue
		}
		b.customers, b.at, b.twins, b.warnings = append(b.customers, in), append(b.at, i), append(b.twins, twins), append(b.warnings, r.warnings)
	}
	return nil
}

func (r *rowReader) customer(ctx context.Context) (out customer.ImportRow, twins []string, err error) {
	r.unswap()
	in := customer.Input{Name: r.get(fName), USCC: r.get(fUSCC), PhoneOptional: true, Region: short(r.get(fRegion), 60), Website: r.get(fWebsite)}
	if in.Name == "" {
		r.fail("importer.reason.empty", r.label(fName))
	}
	in.Type = customer.Type(r.code(fType, customerTypes, ""))
	if in.Type == "" {
		in.Type = customer.Person
		if in.USCC != "" || customer.CompanyName(in.Name) || r.get(fContact) != "" && cnid.NormalizeName(r.get(fContact)) != cnid.NormalizeName(in.Name) {
			in.Type = customer.Company
		}
	}
	if in.Type == customer.Person && in.USCC != "" {
		r.warn("importer.warn.word", r.label(fUSCC), short(in.USCC, 30))
		r.keep(fUSCC, in.USCC)
		in.USCC = ""
	}
	in.Level = customer.Level(r.code(fLevel, levels, string(customer.Normal)))
	in.Source = r.code(fSource, sources, "")
	if v := r.get(fIndustry); v != "" {
		if x, ok := cnid.IndustryByCode(v); ok {
			in.Industry = x.Code
		} else if x, ok := cnid.IndustryByName(v); ok {
			in.Industry = x.Code
		} else {
			r.warn("importer.warn.industry", short(v, 30))
			r.keep(fIndustry, v)
		}
	}
	in.Contacts, twins = r.contacts(in.Type == customer.Company, in.Name)
	if a := r.get(fAddress); len([]rune(a)) > 200 {
		r.warn("importer.warn.long", r.label(fAddress), 200)
		r.keep(fAddress, a)
	} else {
		in.Address = a
	}
	in.CreatedAt, _ = r.time(fCreated, false)
	if v := r.get(fRegistrar); v != "" {
		who, err := r.person(ctx, v)
		if err != nil {
			return out, nil, err
		}
		in.CreatedByName, out.CreatedBy = short(v, 60), who.ID
		in.DepartmentID = who.DepartmentID
	}
	if v := r.get(fOwner); v != "" {
		who, err := r.person(ctx, v)
		if err != nil {
			return out, nil, err
		}
		if who.ID == 0 {
			r.warn("importer.warn.person", r.label(fOwner), short(v, 30))
			r.keep(fOwner, v)
		}
		in.OwnerID = who.ID
	}
	if r.setup.Department != 0 {
		in.DepartmentID = r.setup.Department
	}
	if v := r.get(fDepartment); v != "" {
		d, err := r.department(ctx, v)
		if err != nil {
			return out, nil, err
		}
		switch {
		case d.ID != 0:
			in.DepartmentID = d.ID
		case r.setup.Unknown == UseDefault:
			r.warn("importer.warn.department", short(v, 30))
			r.keep(fDepartment, v)
		default:
			r.fail("importer.reason.department", short(v, 30))
		}
	}
	if in.DepartmentID == 0 {
		in.DepartmentID = r.fallback
	}
	if d := r.get(fNeed); d != "" {
		in.Need.Description = d
		if n := len([]rune(d)); n > 2000 {
			in.Need.Description = short(d, 2000)
			r.warn("importer.warn.long", r.label(fNeed), 2000)
		}
		in.Need.Urgency = r.code(fUrgency, urgencies, "")
	}
	if in.Fields, err = r.ownFields(ctx, field.Customer, string(in.Type)); err != nil {
		return out, nil, err
	}
	if len(in.Contacts) > 0 {
		if in.Contacts[0].Fields, err = r.ownFields(ctx, field.Contact, string(in.Type)); err != nil {
			return out, nil, err
		}
	}
	out.ExternalID = short(r.get(fNumber), 60)
	if h := r.get(fHistory); h != "" {
		out.History = i18n.T(r.lang, "importer.history", h)
	}
	if remark := r.get(fRemark); remark != "" {
		r.remarks = append([]string{remark}, r.remarks...)
	}
	in.Remark = strings.Join(r.remarks, "\n")
	if len([]rune(in.Remark)) > 2000 {
		r.warn("importer.warn.long", r.label(fRemark), 2000)
		in.Remark = short(in.Remark, 2000)
	}
	in.ImportKey = r.key(out.ExternalID, in.Name, in.USCC, r.get(fContact), r.get(fPhone), r.get(fEmail), r.get(fNeed), r.get(fCreated))
	twins = append(twins, "key:"+in.ImportKey)
	if in.USCC != "" {
		twins = append(twins, "uscc:"+cnid.NormalizeUSCC(in.USCC))
	}
	if r.setup.Twins == KeepTwins {
		out.TwinReason = i18n.T(r.lang, "importer.twin.reason")
	}
	out.Input = in
	return out, twins, nil
}

func (p *parser) tickets(ctx context.Context, b *batch, rows []numbered) error {
	readers := make([]*rowReader, len(rows))
	var ids, names []string
	for i, row := range rows {
		r := p.reader(row.cells)
		readers[i] = r
		if id := r.get(fCustomer); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if n := r.get(fCustomerName); n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	byID, byName, err := p.s.customers.Targets(ctx, p.s.db().Read(), customer.View(p.actor), ids, names)
	if err != nil {
		return err
	}
	for i, row := range rows {
		b.lines[i].Line = row.line
		r := readers[i]
		in, err := r.ticket(ctx, byID, byName)
		if err != nil {
			return err
		}
		if len(r.bad) > 0 {
			b.lines[i].Result, b.lines[i].Reasons = Refused, r.bad
			continue
		}
		b.tickets, b.at, b.twins, b.warnings = append(b.tickets, in), append(b.at, i), append(b.twins, []string{in.ImportKey}), append(b.warnings, r.warnings)
	}
	return nil
}

// whose finds the customer of a ticket.
func (r *rowReader) whose(byID, byName map[string][]customer.Target) (customer.Target, bool) {
	id, name := r.get(fCustomer), r.get(fCustomerName)
	if id == "" && name == "" {
		r.fail("importer.reason.empty", r.label(fCustomer))
		return customer.Target{}, false
	}
	found := byID[id]
	if id == "" || len(found) == 0 && name != "" {
		found = byName[name]
		if id == "" {
			id = name
		}
	}
	switch len(found) {
	case 0:
		r.fail("importer.reason.no_customer", short(id, 40))
		return customer.Target{}, false
	case 1:
		return found[0], true
	}
	for _, t := range found { // several of that id: the name decides
		if name != "" && cnid.NormalizeName(t.Name) == cnid.NormalizeName(name) && byID[id] != nil {
			return t, true
		}
	}
	r.fail("importer.reason.several_customers", short(id, 40))
	return customer.Target{}, false
}

const (
	maxTitle       = 60
	maxDescription = 20000
)

func (r *rowReader) ticket(ctx context.Context, byID, byName map[string][]customer.Target) (out ticket.ImportRow, err error) {
	out.Customer, _ = r.whose(byID, byName)
	out.ExternalID = short(r.get(fNumber), 60)
	out.Title, out.Description = r.get(fTitle), r.get(fDescription)
	switch {
	case out.Title == "" && out.Description == "":
		r.fail("importer.reason.empty", r.label(fDescription))
	case out.Title == "":
		out.Title = firstLine(out.Description, maxTitle)
	}
	if len([]rune(out.Title)) > 200 {
		out.Description = out.Title + "\n" + out.Description
		out.Title = short(out.Title, 200)
	}
	if len([]rune(out.Description)) > maxDescription {
		r.warn("importer.warn.long", r.label(fDescription), maxDescription)
		out.Description = short(out.Description, maxDescription)
	}
	out.Type = r.code(fType, types, "other")
	out.Channel = r.code(fChannel, channels, "phone")
	out.Priority = r.code(fPriority, priorities, "")
	byPriority := map[string]string{"urgent": "urgent", "low": "low"}[out.Priority]
	if byPriority == "" {
		byPriority = "normal"
	}
	out.Urgency = r.code(fUrgency, urgencies, byPriority)
	if out.Priority != "" {
		out.PriorityReason = i18n.T(r.lang, "importer.priority_reason")
	}
	out.State = ticket.Pending
	if v := r.get(fState); v != "" {
		if state, outcome, cancel, ok := stateOf(v); ok {
			out.State, out.Outcome, out.CancelReason = ticket.State(state), outcome, cancel
		} else {
			r.fail("importer.reason.state", short(v, 30))
		}
	}
	out.CreatedAt, _ = r.time(fCreated, false)
	var exact bool
	if out.DueAt, exact = r.time(fDue, true); !out.DueAt.IsZero() && !exact {
		out.DueAt = out.DueAt.Add(24*time.Hour - time.Second) // until the end of that day
	}
	if !out.DueAt.IsZero() && out.DueAt.Before(out.CreatedAt) {
		r.warn("importer.warn.due", r.label(fDue), r.label(fCreated))
	}
	done, _ := r.time(fCompleted, false)
	if !out.State.Open() {
		if done.IsZero() && !out.DueAt.IsZero() && out.DueAt.Before(r.now) && out.DueAt.After(out.CreatedAt) {
			done = out.DueAt
		}
		out.CompletedAt = done
		if out.State == ticket.Closed {
			out.ClosedAt = done
		}
		if out.State == ticket.Cancelled {
			out.CompletedAt = time.Time{}
		}
	}
	if v := r.get(fRegistrar); v != "" {
		who, err := r.person(ctx, v)
		if err != nil {
			return out, err
		}
		out.CreatedByName, out.CreatedBy = short(v, 60), who.ID
	}
	if err := r.assign(ctx, &out); err != nil {
		return out, err
	}
	if v := r.get(fSolution); v != "" {
		out.Solution = short(v, maxDescription)
	}
	if v := r.get(fRating); v != "" {
		n, ok := ratings.find(v)
		if len(v) == 1 && v >= "1" && v <= "5" {
			n, ok = v, true
		}
		switch {
		case !ok:
			r.warn("importer.warn.word", r.label(fRating), short(v, 30))
			r.keep(fRating, v)
		case out.State == ticket.Completed || out.State == ticket.Closed:
			stars := int(n[0] - '0')
			out.Rating = &ticket.Rating{Stars: stars, Solved: true, Via: "phone"}
			if out.Outcome == "" {
				out.Outcome = ticket.OutcomePhone
			}
		default:
			r.keep(fRating, v)
		}
	}
	for _, name := range strings.FieldsFunc(r.get(fTags), func(c rune) bool { return strings.ContainsRune(",，、;；/|", c) }) {
		t, ok, err := ticket.TagNamed(ctx, r.parser.s.db().Read(), name)
		if err != nil {
			return out, err
		}
		if ok {
			out.Tags = append(out.Tags, t.ID)
		} else if strings.TrimSpace(name) != "" {
			r.warn("importer.warn.word", r.label(fTags), short(name, 30))
			r.keep(fTags, name)
		}
	}
	if out.Fields, err = r.ownFields(ctx, field.Ticket, out.Type); err != nil {
		return out, err
	}
	if v := r.get(fRemark); v != "" {
		r.remarks = append([]string{v}, r.remarks...)
	}
	if len(r.remarks) > 0 {
		at := out.CreatedAt
		if at.IsZero() {
			at = r.now
		}
		out.Entries = []journal.Entry{{Kind: journal.Note, AuthorKind: r.actor.Kind, AuthorID: r.actor.ID, AuthorName: r.actor.Name,
			Body: strings.Join(r.remarks, "\n"), CreatedAt: at}}
	}
	out.ImportKey = r.key(out.ExternalID, r.get(fCustomer), r.get(fCustomerName), r.get(fType), r.get(fTitle), r.get(fDescription), r.get(fCreated), r.get(fDue), r.get(fAssignee))
	return out, nil
}

// assign reads department and person. A finished ticket may name people who
// have left; an open one needs somebody who may work on it.
func (r *rowReader) assign(ctx context.Context, out *ticket.ImportRow) error {
	lenient := r.setup.Unknown == UseDefault
	if v := r.get(fDepartment); v != "" {
		d, err := r.department(ctx, v)
		if err != nil {
			return err
		}
		switch {
		case d.ID != 0:
			out.DepartmentID = d.ID
		case lenient || !out.State.Open() && r.setup.Department != 0:
			r.warn("importer.warn.department", short(v, 30))
			r.keep(fDepartment, v)
			out.DepartmentID = r.setup.Department
		default:
			r.fail("importer.reason.department", short(v, 30))
		}
	}
	names := nameSeparators.Split(r.get(fAssignee), -1)
	name := strings.TrimSpace(names[0])
	if len(names) > 1 {
		r.warn("importer.warn.assignees", name)
		r.keep(fAssignee, r.get(fAssignee))
	}
	if name != "" {
		who, err := r.person(ctx, name)
		if err != nil {
			return err
		}
		switch {
		case who.ID != 0:
			if out.DepartmentID == 0 && len(r.bad) == 0 {
				out.DepartmentID = who.DepartmentID
			}
			fits := true
			if out.State.Open() {
				if fits, err = r.fit(ctx, who.ID, out.DepartmentID); err != nil {
					return err
				}
			}
			switch {
			case fits:
				out.AssigneeID, out.AssigneeName = who.ID, who.Name
			case lenient:
				r.warn("importer.warn.unfit", who.Name)
				r.keep(fAssignee, name)
			default:
				r.fail("importer.reason.unfit", who.Name)
			}
		case !out.State.Open():
			out.AssigneeName = short(name, 60)
		case lenient:
			r.warn("importer.warn.person", r.label(fAssignee), short(name, 30))
			r.keep(fAssignee, name)
		default:
			r.fail("importer.reason.person", r.label(fAssignee), short(name, 30))
		}
	}
	if out.DepartmentID == 0 {
		out.DepartmentID = r.setup.Department // 0: by routing
	}
	if out.State.Open() && out.State != ticket.Pending && out.AssigneeID == 0 && len(r.bad) == 0 {
		r.warn("importer.warn.nobody", i18n.Key("ticket.state."+string(out.State)))
		out.State = ticket.Pending
	}
	return nil
}

func (p *parser) fit(ctx context.Context, user, department int64) (bool, error) {
	k := [2]int64{user, department}
	if ok, known := p.fits[k]; known {
		return ok, nil
	}
	ok, err := p.s.org.CanBeGiven(ctx, nil, user, department, ticket.PermHandle)
	if err == nil {
		p.fits[k] = ok
	}
	return ok, err
}
