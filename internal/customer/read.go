package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
		// A merged profile lives on in another.
		to, serr := s.SurvivorIn(ctx, sc, id)
		if serr != nil || to == 0 {
			return Customer{}, errors.Join(serr, err)
		}
		id = to
	}
	return s.load(ctx, s.db().Read(), id)
}

// ByNumber is Get by the customer's number.
func (s *Service) ByNumber(ctx context.Context, sc authz.Scope, number string) (Customer, error) {
	var id int64
	err := s.db().Read().QueryRow(ctx, `SELECT id FROM customers WHERE number = $1`, line(number)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if id, err = byOldNumber(ctx, s.db().Read(), line(number)); err == nil && id == 0 {
			return Customer{}, notFound()
		}
	}
	if err != nil {
		return Customer{}, fmt.Errorf("customer: by number: %w", err)
	}
	return s.Get(ctx, sc, id)
}

// Card returns the profile for the page of a ticket, whose reader sees the
// ticket's customer even if he is not in his scope. The caller has checked the
// scope of the ticket; all sensitive values are masked. What he first asked for
// is left out.
func (s *Service) Card(ctx context.Context, q db.Querier, id int64) (Customer, error) {
	return s.profile(ctx, q, id)
}

const profileColumns = `c.id, c.number, c.type, c.name, COALESCE(c.uscc, ''), c.industry, c.level, c.grade, c.stage, c.stage_at, c.parent_id, c.source, c.region, c.address_masked, c.website, c.remark,
	c.owner_id, COALESCE(u.name, ''), c.department_id, d.name, c.first_contact_at, c.created_by, c.created_by_name, c.created_at, c.updated_at, c.activity_at, c.planned_at, c.verified_at, c.verify_at,
	c.open_tickets, c.total_tickets, c.ratings, c.rating_sum, c.duplicate_reason, c.demo, c.version`

const profileTables = `customers c JOIN departments d ON d.id = c.department_id LEFT JOIN users u ON u.id = c.owner_id`

// primaryColumns are those of the contact to speak to first, who may be missing.
const primaryColumns = `COALESCE(p.id, 0), COALESCE(p.name, ''), COALESCE(p.gender, ''), COALESCE(p.position, ''), COALESCE(p.role, ''),
	COALESCE(p.phone_masked, ''), COALESCE(p.email_masked, ''), COALESCE(p.wechat_masked, '')`

// scanProfile reads profileColumns and what follows them into more.
func scanProfile(row interface{ Scan(...any) error }, more ...any) (c Customer, err error) {
	var first, created, updated, activity, staged, planned, verified, verify int64
	var demo int
	err = row.Scan(append([]any{&c.ID, &c.Number, (*string)(&c.Type), &c.Name, &c.USCC, &c.Industry, (*string)(&c.Level), &c.Grade, &c.Stage, &staged, &c.ParentID, &c.Source, &c.Region, &c.Address, &c.Website, &c.Remark,
		&c.OwnerID, &c.OwnerName, &c.DepartmentID, &c.DepartmentName, &first, &c.CreatedBy, &c.CreatedByName, &created, &updated, &activity, &planned, &verified, &verify,
		&c.OpenTickets, &c.TotalTickets, &c.Ratings, &c.RatingSum, &c.DuplicateReason, &demo, &c.Version}, more...)...)
	c.FirstContactAt, c.CreatedAt, c.UpdatedAt, c.ActivityAt, c.Demo = db.FromMicros(first), db.FromMicros(created), db.FromMicros(updated), db.FromMicros(activity), demo != 0
	c.StageAt, c.PlannedAt, c.VerifiedAt, c.VerifyAt = db.FromMicros(staged), db.FromMicros(planned), db.FromMicros(verified), db.FromMicros(verify)
	return c, err
}

func (s *Service) load(ctx context.Context, q db.Querier, id int64) (Customer, error) {
	c, err := s.profile(ctx, q, id)
	if err != nil {
		return c, err
	}
	c.Needs, err = s.needs(ctx, q, id)
	return c, err
}

// profile is load without needs.
func (s *Service) profile(ctx context.Context, q db.Querier, id int64) (Customer, error) {
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

// rows loads list rows in the order of ids; the caller has checked the scope.
func (s *Service) rows(ctx context.Context, q db.Querier, ids []int64) ([]Row, error) {
	return s.rowsWithin(ctx, q, nil, ids)
}

// rowsWithin is rows for ids of which only those that sc covers are returned.
func (s *Service) rowsWithin(ctx context.Context, q db.Querier, sc *authz.Scope, ids []int64) ([]Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var a db.Args
	in := a.AddInts(ids)
	if sc != nil {
		in += `) AND (` + sc.Where(&a, beyondIndexes) + ` AND c.gone = 0`
	}
	rows, err := q.Query(ctx, `SELECT `+profileColumns+`, `+primaryColumns+` FROM `+profileTables+`
		LEFT JOIN contacts p ON p.customer_id = c.id AND p.is_primary = 1 AND p.active = 1 WHERE c.id IN (`+in+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: rows: %w", err)
	}
	defer rows.Close()
	byID := make(map[int64]*Row, len(ids))
	for rows.Next() {
		var k Contact
		c, err := scanProfile(rows, &k.ID, &k.Name, &k.Gender, &k.Position, &k.Role, &k.Phone, &k.Email, &k.Wechat)
		if err != nil {
			return nil, fmt.Errorf("customer: rows: %w", err)
		}
		if r := byID[c.ID]; r != nil && r.Contacts[0].ID < k.ID {
			continue
		}
		if k.ID != 0 {
			k.CustomerID, k.Primary, k.Active = c.ID, true, true
			c.Contacts = []Contact{k}
		}
		byID[c.ID] = &Row{c}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("customer: rows: %w", err)
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

// reindex puts what may be found by words into the search index: number, name,
// the names of contacts and searchable fields of the company's own. It is done in the transaction of the change, so
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
	former, err := formerNumbers(ctx, tx, id)
	if err != nil {
		return err
	}
	words = append(words, former...)
	more, err := s.fieldWords(ctx, tx, id, contacts)
	if err != nil {
		return err
	}
	words = append(words, more...)
	return search.Customers.Put(ctx, tx, id, strings.Join(words, "\n"))
}

// AddTicket moves a customer's ticket counts; a new ticket is also activity.
// A customer who does not exist is no error.
func AddTicket(ctx context.Context, tx *db.Tx, id int64, open, total int64) error {
	err := tx.Later(ctx, `UPDATE customers SET open_tickets = open_tickets + $1, total_tickets = total_tickets + $2 WHERE id = $3`, open, total, id)
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

// NewTicket counts a ticket that was registered, and open, and notes business as
// [Touch] does.
func NewTicket(ctx context.Context, tx *db.Tx, id int64, at time.Time) error {
	var stage string
	err := tx.QueryRow(ctx, `
		UPDATE customers SET open_tickets = open_tickets + 1, total_tickets = total_tickets + 1, activity_at = CASE WHEN activity_at < $1 THEN $2 ELSE activity_at END
		WHERE id = $3 RETURNING stage`, db.Micros(at), db.Micros(at), id).Scan(&stage)
	if err != nil {
		return fmt.Errorf("customer: ticket of %d: %w", id, err)
	}
	if stage == Dormant {
		return wake(ctx, tx, id)
	}
	return nil
}

// near is how close two pieces of business are noted as one: lists are sorted by
// the last one, and every index of them carries its time.
const near = time.Minute

// Touch notes business with a customer, by which lists are sorted, to the minute.
// Who was dormant wakes up.
func Touch(ctx context.Context, tx *db.Tx, id int64, at time.Time) error {
	var stage string
	err := tx.QueryRow(ctx, `UPDATE customers SET activity_at = $1 WHERE id = $2 AND (activity_at < $3 OR stage = $4) RETURNING stage`, db.Micros(at), id, db.Micros(at.Add(-near)), Dormant).Scan(&stage)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("customer: touch %d: %w", id, err)
	case stage == Dormant:
		return wake(ctx, tx, id)
	}
	return nil
}
