package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/number"
	"bihuan/internal/search"
)

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(number.Zone).Format("2006-01-02")
}

// Get returns the profile of a customer the reader may see.
func (s *Service) Get(ctx context.Context, sc authz.Scope, id int64) (Customer, error) {
	if err := s.visible(ctx, s.db().Read(), sc, id); err != nil {
		return Customer{}, err
	}
	return s.load(ctx, s.db().Read(), id)
}

// ByNumber is Get by the customer's number.
func (s *Service) ByNumber(ctx context.Context, sc authz.Scope, number string) (Customer, error) {
	var id int64
	err := s.db().Read().QueryRow(ctx, `SELECT id FROM customers WHERE number = $1`, line(number)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return Customer{}, notFound()
	}
	if err != nil {
		return Customer{}, fmt.Errorf("customer: by number: %w", err)
	}
	return s.Get(ctx, sc, id)
}

// Card returns the profile for the page of a ticket, whose reader sees the
// ticket's customer even if he is not in his scope. The caller has checked the
// scope of the ticket; all sensitive values are masked.
func (s *Service) Card(ctx context.Context, q db.Querier, id int64) (Customer, error) {
	return s.load(ctx, q, id)
}

const profileColumns = `c.id, c.number, c.type, c.name, COALESCE(c.uscc, ''), c.industry, c.level, c.grade, c.stage, c.stage_at, c.parent_id, c.source, c.region, c.address_masked, c.website, c.remark,
	c.owner_id, COALESCE(u.name, ''), c.department_id, d.name, c.first_contact_at, c.created_by, c.created_by_name, c.created_at, c.updated_at, c.activity_at, c.planned_at, c.verified_at, c.verify_at,
	c.open_tickets, c.total_tickets, c.ratings, c.rating_sum, c.duplicate_reason, c.demo, c.version`

const profileTables = `customers c JOIN departments d ON d.id = c.department_id LEFT JOIN users u ON u.id = c.owner_id`

func scanProfile(row interface{ Scan(...any) error }) (c Customer, err error) {
	var first, created, updated, activity, staged, planned, verified, verify int64
	var demo int
	err = row.Scan(&c.ID, &c.Number, (*string)(&c.Type), &c.Name, &c.USCC, &c.Industry, (*string)(&c.Level), &c.Grade, &c.Stage, &staged, &c.ParentID, &c.Source, &c.Region, &c.Address, &c.Website, &c.Remark,
		&c.OwnerID, &c.OwnerName, &c.DepartmentID, &c.DepartmentName, &first, &c.CreatedBy, &c.CreatedByName, &created, &updated, &activity, &planned, &verified, &verify,
		&c.OpenTickets, &c.TotalTickets, &c.Ratings, &c.RatingSum, &c.DuplicateReason, &demo, &c.Version)
	c.FirstContactAt, c.CreatedAt, c.UpdatedAt, c.ActivityAt, c.Demo = db.FromMicros(first), db.FromMicros(created), db.FromMicros(updated), db.FromMicros(activity), demo != 0
	c.StageAt, c.PlannedAt, c.VerifiedAt, c.VerifyAt = db.FromMicros(staged), db.FromMicros(planned), db.FromMicros(verified), db.FromMicros(verify)
	return c, err
}

func (s *Service) load(ctx context.Context, q db.Querier, id int64) (Customer, error) {
	c, err := scanProfile(q.QueryRow(ctx, `SELECT `+profileColumns+` FROM `+profileTables+` WHERE c.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, notFound()
	}
	if err != nil {
		return c, fmt.Errorf("customer: load %d: %w", id, err)
	}
	contacts, err := s.contacts(ctx, q, `customer_id = $1`, id)
	if err != nil {
		return c, err
	}
	c.Contacts = contacts
	if c.Needs, err = s.needs(ctx, q, id); err != nil {
		return c, err
	}
	tags, err := s.tagsOf(ctx, q, []int64{id})
	if err != nil {
		return c, err
	}
	c.Tags = tags[id]
	return c, nil
}

func (s *Service) contacts(ctx context.Context, q db.Querier, where string, args ...any) ([]Contact, error) {
	rows, err := q.Query(ctx, `
		SELECT   id, customer_id, name, gender, position, role, phone_masked, email_masked, wechat_masked, is_primary, active
		FROM     contacts
		WHERE    active = 1 AND `+where+`
		ORDER BY customer_id, is_primary DESC, id
		LIMIT    500`, args...)
	if err != nil {
		return nil, fmt.Errorf("customer: contacts: %w", err)
	}
	defer rows.Close()
	var out []Contact
	for rows.Next() {
		var c Contact
		var primary, active int
		if err := rows.Scan(&c.ID, &c.CustomerID, &c.Name, &c.Gender, &c.Position, &c.Role, &c.Phone, &c.Email, &c.Wechat, &primary, &active); err != nil {
			return nil, fmt.Errorf("customer: contacts: %w", err)
		}
		c.Primary, c.Active = primary != 0, active != 0
		out = append(out, c)
	}
	return out, rows.Err()
}

// Contact returns one contact, masked, also a former one. The caller has
// checked that the reader may see the customer.
func (s *Service) Contact(ctx context.Context, q db.Querier, id int64) (c Contact, err error) {
	var primary, active int
	err = q.QueryRow(ctx, `
		SELECT id, customer_id, name, gender, position, role, phone_masked, email_masked, wechat_masked, is_primary, active
		FROM   contacts WHERE id = $1`, id).
		Scan(&c.ID, &c.CustomerID, &c.Name, &c.Gender, &c.Position, &c.Role, &c.Phone, &c.Email, &c.Wechat, &primary, &active)
	if errors.Is(err, sql.ErrNoRows) {
		return c, notFound()
	}
	if err != nil {
		return c, fmt.Errorf("customer: contact %d: %w", id, err)
	}
	c.Primary, c.Active = primary != 0, active != 0
	return c, nil
}

// FindContacts returns the contacts with the telephone number or e-mail
// address, for channels that take requests in: it knows no scope, so its result
// is never shown to anybody.
func (s *Service) FindContacts(ctx context.Context, q db.Querier, phone, email string) ([]Contact, error) {
	var a db.Args
	var or []string
	if p, err := cnid.ParsePhone(phone); err == nil && p.Kind != cnid.Short {
		for _, x := range s.keys.Indexes(indexPhone, p.Key()) {
			or = append(or, "phone_index = "+a.Add(x))
		}
	}
	if cnid.CheckEmail(email) == nil {
		for _, x := range s.keys.Indexes(indexEmail, cnid.EmailKey(email)) {
			or = append(or, "email_index = "+a.Add(x))
		}
	}
	if len(or) == 0 {
		return nil, nil
	}
	return s.contacts(ctx, q, "("+strings.Join(or, " OR ")+")", a.Values...)
}

func (s *Service) needs(ctx context.Context, q db.Querier, id int64) ([]Need, error) {
	rows, err := q.Query(ctx, `
		SELECT   id, product, description, period, budget, delivery, special, urgency, created_by, created_at
		FROM     needs WHERE customer_id = $1 ORDER BY id DESC LIMIT 50`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: needs: %w", err)
	}
	defer rows.Close()
	var out []Need
	for rows.Next() {
		var n Need
		var at int64
		if err := rows.Scan(&n.ID, &n.Product, &n.Description, &n.Period, &n.Budget, &n.Delivery, &n.Special, &n.Urgency, &n.CreatedBy, &at); err != nil {
			return nil, fmt.Errorf("customer: needs: %w", err)
		}
		n.CreatedAt = db.FromMicros(at)
		out = append(out, n)
	}
	return out, rows.Err()
}

// Row is a customer in a list.
type Row struct {
	Customer // Contacts holds the primary one only, Needs nothing
}

// Sorts of a list.
const (
	ByActivity = "activity" // last business first; the default
	ByCreated  = "created"  // last registered first
)

// Filter selects customers for a list; the zero Filter selects all.
type Filter struct {
	Type         Type
	Level        Level
	Source       string
	Industry     string // a section selects its divisions too
	TagID        int64
	OwnerID      int64 // -1: those without an owner
	DepartmentID int64
	Sort         string
	After        string // keyset cursors of a Page
	Before       string
	Limit        int // 0: 25
}

// Page is a stretch of a list. Next and Prev are "" at its ends.
type Page struct {
	Rows       []Row
	Next, Prev string
}

// maxBranches is how many arms a list over a scope may have; beyond it one scan
// of the whole order is no dearer.
const maxBranches = 12

// List returns a stretch of the customers sc lets the reader see. It costs what
// its rows cost: each way of being concerned (department, owner, registered by)
// walks its own index for as many rows as are shown.
func (s *Service) List(ctx context.Context, sc authz.Scope, f Filter) (Page, error) {
	if sc.Empty() {
		return Page{}, nil
	}
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	key := "c.activity_at"
	if f.Sort == ByCreated {
		key = "c.created_at"
	}
	order, cmp, cursor := "DESC", "<", f.After
	if f.Before != "" {
		order, cmp, cursor = "ASC", ">", f.Before
	}
	at, id, paged := parseCursor(cursor)
	if f.Before != "" && !paged {
		order, cmp = "DESC", "<"
	}
	var a db.Args
	branch := func(of string) string {
		where := of + " AND c.gone = 0" + f.where(&a)
		if paged {
			where += " AND (" + key + ", c.id) " + cmp + " (" + a.Add(at) + ", " + a.Add(id) + ")"
		}
		return `SELECT c.id AS id, ` + key + ` AS k FROM customers c WHERE ` + where +
			` ORDER BY ` + key + ` ` + order + `, c.id ` + order + ` LIMIT ` + a.Add(f.Limit+1)
	}
	var query string
	arms := len(sc.Departments()) + 2
	if sc.Everything() || f.Sort == ByCreated || arms > maxBranches {
		query = branch("(" + sc.Where(&a, scopeColumns) + ")")
	} else {
		var parts []string
		arm := func(cond string) {
			parts = append(parts, `SELECT id, k FROM (`+branch(cond)+`) b`+strconv.Itoa(len(parts)))
		}
		for _, d := range sc.Departments() {
			arm("c.department_id = " + a.Add(d))
		}
		arm("c.owner_id = " + a.Add(sc.User()))
		arm("c.created_by = " + a.Add(sc.User()))
		query = `SELECT id, k FROM (` + strings.Join(parts, ` UNION `) + `) u ORDER BY k ` + order + `, id ` + order + ` LIMIT ` + a.Add(f.Limit+1)
	}
	rows, err := s.db().Read().Query(ctx, query, a.Values...)
	if err != nil {
		return Page{}, fmt.Errorf("customer: list: %w", err)
	}
	defer rows.Close()
	var ids, keys []int64
	for rows.Next() {
		var id, k int64
		if err := rows.Scan(&id, &k); err != nil {
			return Page{}, fmt.Errorf("customer: list: %w", err)
		}
		ids, keys = append(ids, id), append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("customer: list: %w", err)
	}
	more := len(ids) > f.Limit
	if more {
		ids, keys = ids[:f.Limit], keys[:f.Limit]
	}
	back := order == "ASC"
	if back {
		slices.Reverse(ids)
		slices.Reverse(keys)
	}
	p := Page{}
	if p.Rows, err = s.rows(ctx, s.db().Read(), ids); err != nil {
		return Page{}, err
	}
	if n := len(ids); n > 0 {
		if more || back {
			p.Next = cursorOf(keys[n-1], ids[n-1])
		}
		if paged && (!back || more) {
			p.Prev = cursorOf(keys[0], ids[0])
		}
	}
	return p, nil
}

func (f Filter) where(a *db.Args) string {
	var b strings.Builder
	and := func(cond string, v any) { b.WriteString(" AND " + cond + a.Add(v)) }
	if f.Type != "" {
		and("c.type = ", string(f.Type))
	}
	if f.Level != "" {
		and("c.level = ", string(f.Level))
	}
	if f.Source != "" {
		and("c.source = ", f.Source)
	}
	if len(f.Industry) == 1 {
		and("SUBSTR(c.industry, 1, 1) = ", f.Industry)
	} else if f.Industry != "" {
		and("c.industry = ", f.Industry)
	}
	if f.OwnerID != 0 {
		and("c.owner_id = ", max(f.OwnerID, 0))
	}
	if f.DepartmentID != 0 {
		and("c.department_id = ", f.DepartmentID)
	}
	if f.TagID != 0 {
		b.WriteString(" AND EXISTS (SELECT 1 FROM customer_tags t WHERE t.customer_id = c.id AND t.tag_id = " + a.Add(f.TagID) + ")")
	}
	return b.String()
}

func cursorOf(k, id int64) string { return strconv.FormatInt(k, 36) + "." + strconv.FormatInt(id, 36) }

// parseCursor returns ok false for anything cursorOf has not made: such a list
// begins at its beginning.
func parseCursor(s string) (k, id int64, ok bool) {
	a, b, found := strings.Cut(s, ".")
	k, err1 := strconv.ParseInt(a, 36, 64)
	id, err2 := strconv.ParseInt(b, 36, 64)
	return k, id, found && err1 == nil && err2 == nil
}

// rows loads list rows in the order of ids; the caller has checked the scope.
func (s *Service) rows(ctx context.Context, q db.Querier, ids []int64) ([]Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var a db.Args
	in := a.AddInts(ids)
	rows, err := q.Query(ctx, `SELECT `+profileColumns+` FROM `+profileTables+` WHERE c.id IN (`+in+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: rows: %w", err)
	}
	defer rows.Close()
	byID := make(map[int64]*Row, len(ids))
	for rows.Next() {
		c, err := scanProfile(rows)
		if err != nil {
			return nil, fmt.Errorf("customer: rows: %w", err)
		}
		byID[c.ID] = &Row{c}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("customer: rows: %w", err)
	}
	contacts, err := s.contacts(ctx, q, `is_primary = 1 AND customer_id IN (`+in+`)`, a.Values...)
	if err != nil {
		return nil, err
	}
	for _, c := range contacts {
		if r := byID[c.CustomerID]; r != nil && len(r.Contacts) == 0 {
			r.Contacts = []Contact{c}
		}
	}
	tags, err := s.tagsOf(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Row, 0, len(ids))
	for _, id := range ids {
		if r := byID[id]; r != nil {
			r.Tags = tags[id]
			out = append(out, *r)
		}
	}
	return out, nil
}

// reindex puts what may be found by words into the search index: number, name
// and the names of contacts. It is done in the transaction of the change, so
// that a customer is found the moment he is registered: it costs some 0.1 ms,
// a listener's own transaction would cost more.
func (s *Service) reindex(ctx context.Context, tx *db.Tx, id int64) error {
	var num, name, external string
	if err := tx.QueryRow(ctx, `SELECT number, name, external_id FROM customers WHERE id = $1`, id).Scan(&num, &name, &external); err != nil {
		return fmt.Errorf("customer: index %d: %w", id, err)
	}
	contacts, err := s.contacts(ctx, tx, `customer_id = $1`, id)
	if err != nil {
		return err
	}
	words := []string{num, name}
	if external != "" {
		words = append(words, external)
	}
	for _, c := range contacts {
		words = append(words, c.Name)
	}
	return search.Customers.Put(ctx, tx, id, strings.Join(words, "\n"))
}

// AddTicket moves a customer's ticket counts; a new ticket is also activity.
// A customer who does not exist is no error.
func AddTicket(ctx context.Context, tx *db.Tx, id int64, open, total int64) error {
	_, err := tx.Exec(ctx, `UPDATE customers SET open_tickets = open_tickets + $1, total_tickets = total_tickets + $2 WHERE id = $3`, open, total, id)
	if err != nil {
		return fmt.Errorf("customer: count ticket of %d: %w", id, err)
	}
	return nil
}

// AddRating counts a rating of 1 to 5 stars, 0 when he only said that nothing was
// solved. replaces is the rating the customer gave before and has changed, 0 when
// this is his first with stars.
func AddRating(ctx context.Context, tx *db.Tx, id int64, stars, replaces int) error {
	first := db.Bool(stars > 0) - db.Bool(replaces > 0)
	_, err := tx.Exec(ctx, `UPDATE customers SET ratings = ratings + $1, rating_sum = rating_sum + $2 WHERE id = $3`, first, stars-replaces, id)
	if err != nil {
		return fmt.Errorf("customer: rate %d: %w", id, err)
	}
	return nil
}

// Touch notes business with a customer, by which lists are sorted.
func Touch(ctx context.Context, tx *db.Tx, id int64, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE customers SET activity_at = $1 WHERE id = $2 AND activity_at < $3`, db.Micros(at), id, db.Micros(at))
	if err != nil {
		return fmt.Errorf("customer: touch %d: %w", id, err)
	}
	return nil
}
