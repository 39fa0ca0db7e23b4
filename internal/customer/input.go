package customer

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/cnid"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// Input is a profile as it was typed. The service cleans it; it never changes
// what the form shows again.
type Input struct {
	Type           Type
	Name           string
	USCC           string
	Industry       string // code or Chinese name
	Level          Level  // "" is Normal
	Source         string
	Region         string
	Address        string // for an update: "" leaves it, see ClearAddress
	ClearAddress   bool
	Website        string
	Remark         string
	OwnerID        int64 // 0: nobody
	DepartmentID   int64 // 0: the actor's
	FirstContactAt time.Time
	Contacts       []ContactInput // of an update: contacts not named stay as they are
	Need           NeedInput      // first need; ignored by an update
	TagIDs         []int64        // ignored by an update
	// Fields are the custom fields. Of a new profile nil means that nobody was
	// asked: then required ones may stay empty.
	Fields field.Input

	// DuplicateReason lets a second profile with the same credit code or
	// telephone number pass.
	DuplicateReason string

	// The rest is for channels and imports, never for forms.

	PhoneOptional bool      // the channel knows no number (mail, old lists)
	Number        string    // a number given elsewhere; "" takes the next
	ImportKey     string    // makes an import restartable; unique
	CreatedAt     time.Time // registered elsewhere at that time
	CreatedByName string
	Demo          bool

	values []field.Value // parsed by checkFields
}

// ContactInput is a contact as it was typed. In an update of an existing
// contact an empty Phone, Email or Wechat means "as it was", because forms
// cannot show the clear value; the Clear flags empty them.
type ContactInput struct {
	ID          int64
	Name        string
	Gender      string
	Position    string
	Role        string // one of Roles; of an update "" leaves it and RoleNone empties it
	Phone       string
	Email       string
	Wechat      string
	Primary     bool
	Remove      bool // no longer to be spoken to; the row is kept
	ClearEmail  bool
	ClearWechat bool
	Fields      field.Input // as of Input

	phone  cnid.Phone    // parsed by check
	values []field.Value // parsed by checkFields
}

func (c ContactInput) blank() bool {
	return c.ID == 0 && c.Name == "" && c.Phone == "" && c.Email == "" && c.Wechat == "" && c.Position == "" && c.Fields.Blank()
}

// NeedInput is a need as it was typed; the zero NeedInput is none.
type NeedInput struct {
	Product, Description, Period, Budget, Delivery, Special, Urgency string
}

func (n NeedInput) blank() bool { return n == NeedInput{} }

// Longest texts, in characters.
const (
	maxName     = 120
	maxShort    = 60
	maxLine     = 200
	maxRemark   = 2000
	maxContacts = 50
)

// check cleans in and reports everything wrong with it at once. old is nil for
// a new profile.
func (in *Input) check(old *Customer) error {
	e := fault.Invalidf("customer.invalid")
	if old != nil {
		in.Type = old.Type
	}
	if in.Type != Person && in.Type != Company {
		e.Field("type", "customer.type.required")
	}
	in.Name = line(in.Name)
	if in.Name == "" {
		e.Field("name", "customer.name.required."+string(nameOf(in.Type)))
	}
	limit(e, "name", "customer.field.name", in.Name, maxName)
	if in.USCC = cnid.NormalizeUSCC(in.USCC); in.USCC != "" {
		if in.Type == Person {
			e.Field("uscc", "customer.uscc.person")
		} else if err := cnid.CheckUSCC(in.USCC); err != nil {
			key, args := usccMessage(err)
			e.Field("uscc", key, args...)
		}
	}
	if in.Industry = line(in.Industry); in.Industry != "" {
		i, ok := cnid.IndustryByCode(in.Industry)
		if !ok {
			i, ok = cnid.IndustryByName(in.Industry)
		}
		if !ok {
			e.Field("industry", "customer.industry.unknown", in.Industry)
		}
		in.Industry = i.Code
	}
	if in.Level == "" {
		in.Level = Normal
	}
	if !slices.Contains(Levels, in.Level) {
		e.Field("level", "customer.level.unknown")
	}
	if in.Source != "" && !slices.Contains(Sources, in.Source) {
		e.Field("source", "customer.source.unknown")
	}
	in.Region, in.Address, in.Website, in.Remark = line(in.Region), line(in.Address), line(in.Website), text(in.Remark)
	limit(e, "region", "customer.field.region", in.Region, maxShort)
	limit(e, "address", "customer.field.address", in.Address, maxLine)
	limit(e, "remark", "customer.field.remark", in.Remark, maxRemark)
	if in.Website != "" {
		site, ok := website(in.Website)
		if !ok {
			e.Field("website", "customer.website.invalid")
		}
		in.Website = site
	}
	in.DuplicateReason = line(in.DuplicateReason)
	limit(e, "duplicate_reason", "customer.field.duplicate_reason", in.DuplicateReason, maxLine)
	in.checkContacts(e, old)
	in.Need.check(e)
	return e.OrNil()
}

func nameOf(t Type) Type {
	if t == Person {
		return Person
	}
	return Company
}

// checkContacts keeps the order of the rows, so that messages stand where they
// were typed: contacts.0.phone.
func (in *Input) checkContacts(e *fault.Error, old *Customer) {
	if len(in.Contacts) > maxContacts {
		e.Field("contacts", "customer.contacts.many", maxContacts)
		return
	}
	known := map[int64]Contact{}
	if old != nil {
		for _, c := range old.Contacts {
			known[c.ID] = c
		}
	}
	in.Contacts = slices.Clone(in.Contacts) // the caller shows his again
	primary, staying := -1, 0
	for i := range in.Contacts {
		c := &in.Contacts[i]
		c.Name, c.Position, c.Phone, c.Email, c.Wechat = line(c.Name), line(c.Position), line(c.Phone), line(c.Email), line(c.Wechat)
		if c.blank() || c.Remove {
			c.Primary = false
			continue
		}
		staying++
		if c.Primary && primary < 0 {
			primary = i
		} else {
			c.Primary = false
		}
	}
	unmentioned, primaryStays := 0, false
	for _, k := range known {
		if !slices.ContainsFunc(in.Contacts, func(c ContactInput) bool { return c.ID == k.ID }) {
			unmentioned++
			primaryStays = primaryStays || k.Primary
		}
	}
	if primary < 0 && !primaryStays { // nobody chosen: who has been it, else the first
		for i, c := range in.Contacts {
			if !c.blank() && !c.Remove && (primary < 0 || known[c.ID].Primary) {
				primary = i
			}
		}
		if primary >= 0 {
			in.Contacts[primary].Primary = true
		}
	}
	if len(known) > 0 && staying+unmentioned == 0 {
		e.Field("contacts", "customer.contacts.none")
	}
	if old == nil && staying == 0 && !in.PhoneOptional {
		e.Field("contacts.0.phone", "customer.phone.required")
		if in.Type == Company {
			e.Field("contacts.0.name", "customer.contact.name.required")
		}
	}
	for i := range in.Contacts {
		c := &in.Contacts[i]
		if c.blank() || c.Remove {
			continue
		}
		f := fmt.Sprintf("contacts.%d.", i)
		if c.Name == "" && in.Type == Person {
			c.Name = in.Name // a person is his own contact
		}
		if c.Name == "" {
			e.Field(f+"name", "customer.contact.name.required")
		}
		was, exists := known[c.ID]
		if c.ID != 0 && !exists {
			e.Field(f+"name", "customer.contact.unknown")
		}
		limit(e, f+"name", "customer.contact.name", c.Name, maxShort)
		limit(e, f+"position", "customer.contact.position", c.Position, maxShort)
		limit(e, f+"wechat", "customer.contact.wechat", c.Wechat, maxShort)
		switch {
		case c.Role == RoleNone:
			c.Role = ""
		case c.Role == "":
			c.Role = was.Role
		case !slices.Contains(Roles, c.Role):
			e.Field(f+"role", "customer.role.unknown")
		}
		if !slices.Contains(Genders, c.Gender) {
			e.Field(f+"gender", "customer.contact.gender.unknown")
		}
		switch {
		case c.Phone != "":
			p, err := cnid.ParsePhone(c.Phone)
			switch {
			case len(cnid.SplitPhones(c.Phone)) > 1:
				e.Field(f+"phone", "customer.phone.several")
			case errors.Is(err, cnid.ErrPhoneAreaCode):
				e.Field(f+"phone", "customer.phone.area_code")
			case err != nil:
				e.Field(f+"phone", "customer.phone.invalid")
			}
			c.phone = p
		case c.Primary && was.Phone == "" && !in.PhoneOptional:
			e.Field(f+"phone", "customer.phone.required")
		}
		if c.Email != "" {
			if cnid.CheckEmail(c.Email) != nil {
				e.Field(f+"email", "customer.email.invalid")
			}
			c.Email = cnid.NormalizeEmail(c.Email)
		}
	}
}

func (n *NeedInput) check(e *fault.Error) {
	n.Product, n.Period, n.Budget, n.Delivery = line(n.Product), line(n.Period), line(n.Budget), line(n.Delivery)
	n.Description, n.Special = text(n.Description), text(n.Special)
	limit(e, "need.product", "customer.need.product", n.Product, maxLine)
	limit(e, "need.period", "customer.need.period", n.Period, maxLine)
	limit(e, "need.budget", "customer.need.budget", n.Budget, maxLine)
	limit(e, "need.delivery", "customer.need.delivery", n.Delivery, maxLine)
	limit(e, "need.description", "customer.need.description", n.Description, maxRemark)
	limit(e, "need.special", "customer.need.special", n.Special, maxRemark)
	if !slices.Contains(Urgencies, n.Urgency) {
		e.Field("need.urgency", "customer.need.urgency.unknown")
	}
}

func usccMessage(err error) (key string, args []any) {
	var c *cnid.CodeError
	if !errors.As(err, &c) {
		return "customer.uscc.invalid", nil
	}
	switch c.Kind {
	case cnid.ErrLength:
		return "customer.uscc.length", []any{c.Length}
	case cnid.ErrCharacters:
		return "customer.uscc.characters", []any{c.Bad}
	}
	return "customer.uscc.check_digit", []any{c.Want, c.Got}
}

// CheckUSCC returns the locale key of what is wrong with a credit code, "" when
// nothing is or it is empty: for the form, while typing.
func CheckUSCC(code string) (key string, args []any) {
	if code = cnid.NormalizeUSCC(code); code == "" {
		return "", nil
	}
	if err := cnid.CheckUSCC(code); err != nil {
		return usccMessage(err)
	}
	return "", nil
}

func limit(e *fault.Error, field, name, v string, most int) {
	if n := utf8.RuneCountInString(v); n > most {
		e.Field(field, "customer.too_long", i18n.Key(name), most, n)
	}
}

// line cleans a text of one line: no control characters (PostgreSQL refuses
// NUL), one blank between words.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(printable(s, ""), unicode.IsSpace), " ")
}

// text cleans a text of several lines.
func text(s string) string {
	return strings.TrimSpace(printable(strings.ReplaceAll(s, "\r\n", "\n"), "\n\t"))
}

func printable(s, keep string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(keep, r):
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == '\uFEFF', r == '\u200B', r >= '\uE000' && r <= '\uE002':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// website completes an address typed without its scheme. Only http and https
// are let through: the value becomes a link.
func website(s string) (string, bool) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.Contains(u.Hostname(), ".") || u.User != nil || len(s) > maxLine ||
		strings.ContainsAny(s, " \"'<>") {
		return s, false
	}
	return u.String(), true
}
