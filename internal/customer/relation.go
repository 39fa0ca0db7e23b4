package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/setting"
)

// RelationKinds are what customers may be to each other beside parent and
// subsidiary. A kind that goes one way is named from both ends:
// customer.relation.<kind>.out on the page of the one who is it, .in on the
// other's.
var RelationKinds = []string{"partner", "supplier", "distributor", "referrer", "same_person", "relative"}

// mutual are the kinds that go both ways.
var mutual = []string{"partner", "same_person", "relative"}

// Relation is what another customer is to the one whose page is read.
type Relation struct {
	ID    int64
	Kind  string
	Way   string // "both", "out": he is it to the other, "in": the other is it to him
	Other Ref
	Note  string
	By    string
	At    time.Time
}

// GroupNode is a company of a group. Hidden ones are beyond the reader's scope: they
// stand only where they hold the tree together, without name.
type GroupNode struct {
	Ref
	Depth    int
	Hidden   bool
	Self     bool
	Open     int64
	Total    int64
	Last     bool // of its siblings
	Children int
	ParentID int64
}

// Group is the tree of companies a customer belongs to, from the top.
type Group struct {
	Nodes       []GroupNode // parents before their subsidiaries
	Open, Total int64       // tickets of those the reader sees
	More        bool        // there are more than are shown
}

const (
	maxGroup = 200
	maxDepth = 20
)

// SetParent makes parentID (0: nobody) the parent company of a customer. Both
// must be companies the actor sees; a circle is refused.
func (s *Service) SetParent(ctx context.Context, actor authz.Actor, id, parentID int64, reason string) error {
	return s.run.Do(ctx, actor, "customer.set_parent", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		// One at a time: two that are each other's parent would see nothing of it.
		if err := setting.Write(ctx, a.Tx, "customer.parents", id); err != nil {
			return err
		}
		c, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		refuse := func(key string, args ...any) error {
			return fault.Invalidf("customer.invalid").Field("parent", key, args...)
		}
		if c.Type != Company {
			return refuse("customer.parent.person")
		}
		if c.ParentID == parentID {
			return refuse("customer.parent.same")
		}
		var old, now Ref
		if c.ParentID != 0 {
			if old, err = s.ref(ctx, a, c.ParentID); err != nil {
				return err
			}
		}
		if parentID != 0 {
			if err := s.visible(ctx, a, View(a.Actor), parentID); err != nil {
				return refuse("customer.parent.unknown")
			}
			if now, err = s.ref(ctx, a, parentID); err != nil {
				return err
			}
			if now.Type != Company {
				return refuse("customer.parent.person")
			}
			depth := 0
			for at := parentID; at != 0; depth++ {
				if at == id {
					return refuse("customer.parent.circle", now.Name)
				}
				if depth > maxDepth {
					return refuse("customer.parent.deep", maxDepth)
				}
				if err := a.QueryRow(ctx, `SELECT parent_id FROM customers WHERE id = $1`, at).Scan(&at); err != nil {
					return fmt.Errorf("customer: parent of %d: %w", id, err)
				}
			}
		}
		reason = line(reason)
		if e := fault.Invalidf("customer.invalid"); utf8.RuneCountInString(reason) > maxLine {
			limit(e, "reason", "customer.reason.was", reason, maxLine)
			return e
		}
		if _, err := a.Exec(ctx, `UPDATE customers SET parent_id = $1, updated_at = $2, version = version + 1 WHERE id = $3`, parentID, a.NowMicros(), id); err != nil {
			return fmt.Errorf("customer: parent of %d: %w", id, err)
		}
		a.Record(event.Event{Kind: Changed, Subject: Subject(id), Reason: reason, Data: ChangedData{[]Change{{Change: event.Change{Field: "parent", Old: old.Name, New: now.Name}}}}})
		return nil
	})
}

// ref names a customer; the caller has checked the scope.
func (s *Service) ref(ctx context.Context, q db.Querier, id int64) (r Ref, err error) {
	err = q.QueryRow(ctx, `SELECT id, number, name, type, level FROM customers WHERE id = $1`, id).Scan(&r.ID, &r.Number, &r.Name, (*string)(&r.Type), (*string)(&r.Level))
	if errors.Is(err, sql.ErrNoRows) {
		return r, notFound()
	}
	if err != nil {
		return r, fmt.Errorf("customer: name of %d: %w", id, err)
	}
	return r, nil
}

// Group returns the companies that a customer the reader may see belongs to
// with; one node alone when there is no group.
func (s *Service) Group(ctx context.Context, sc authz.Scope, id int64) (g Group, err error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return g, err
	}
	root := id
	for range maxDepth {
		var up int64
		if err := q.QueryRow(ctx, `SELECT parent_id FROM customers WHERE id = $1`, root).Scan(&up); err != nil {
			return g, fmt.Errorf("customer: group of %d: %w", id, err)
		}
		if up == 0 {
			break
		}
		root = up
	}
	nodes := map[int64]*GroupNode{}
	children := map[int64][]int64{}
	load := func(column string, ids []int64) (found []int64, err error) {
		err = db.EachIn(ids, func(in string, args []any) error {
			a := db.Args{Values: args}
			rows, err := q.Query(ctx, `
				SELECT   c.id, c.number, c.name, c.type, c.level, c.parent_id, c.open_tickets, c.total_tickets, CASE WHEN `+within(sc, &a)+` THEN 1 ELSE 0 END
				FROM     customers c WHERE c.`+column+` IN (`+in+`)
				ORDER BY c.name, c.id LIMIT `+fmt.Sprint(maxGroup+1), a.Values...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var n GroupNode
				var seen int
				if err := rows.Scan(&n.ID, &n.Number, &n.Name, (*string)(&n.Type), (*string)(&n.Level), &n.ParentID, &n.Open, &n.Total, &seen); err != nil {
					return err
				}
				if nodes[n.ID] != nil {
					continue
				}
				if len(nodes) >= maxGroup {
					g.More = true
					break
				}
				if n.Self, n.Hidden = n.ID == id, seen == 0; n.Hidden {
					n.Ref, n.Open, n.Total = Ref{ID: n.ID}, 0, 0
				}
				nodes[n.ID] = &n
				children[n.ParentID] = append(children[n.ParentID], n.ID)
				found = append(found, n.ID)
			}
			return rows.Err()
		})
		return found, err
	}
	level, err := load("id", []int64{root})
	for depth := 0; err == nil && len(level) > 0 && depth < maxDepth && !g.More; depth++ {
		level, err = load("parent_id > 0 AND c.parent_id", level) // the index is partial
	}
	if err != nil {
		return g, fmt.Errorf("customer: group of %d: %w", id, err)
	}
	// What is hidden and holds nobody who is seen is left out.
	var seen func(id int64) bool
	seen = func(id int64) bool {
		kids := children[id][:0:0]
		for _, k := range children[id] {
			if seen(k) {
				kids = append(kids, k)
			}
		}
		children[id] = kids
		return len(kids) > 0 || !nodes[id].Hidden
	}
	if nodes[root] == nil || !seen(root) {
		return g, nil
	}
	var list func(id int64, depth int, last bool)
	list = func(id int64, depth int, last bool) {
		n := *nodes[id]
		n.Depth, n.Last, n.Children = depth, last, len(children[id])
		if n.Hidden {
			n.Ref = Ref{}
		}
		g.Open, g.Total = g.Open+n.Open, g.Total+n.Total
		g.Nodes = append(g.Nodes, n)
		for i, k := range children[id] {
			list(k, depth+1, i == len(children[id])-1)
		}
	}
	list(root, 0, true)
	// A hidden top that holds one branch only says nothing.
	for len(g.Nodes) > 1 && g.Nodes[0].Hidden && g.Nodes[0].Children == 1 {
		g.Nodes = g.Nodes[1:]
		for i := range g.Nodes {
			g.Nodes[i].Depth--
		}
	}
	return g, nil
}

// Relate says what a customer is to another: kind of RelationKinds, in the
// direction from -> to. The actor edits from and sees to.
func (s *Service) Relate(ctx context.Context, actor authz.Actor, from, to int64, kind, note string) error {
	return s.run.Do(ctx, actor, "customer.relate", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, from, PermEdit); err != nil {
			return err
		}
		e := fault.Invalidf("customer.invalid")
		if !slices.Contains(RelationKinds, kind) {
			e.Field("kind", "customer.relation.unknown")
		}
		if from == to {
			e.Field("other", "customer.relation.self")
		} else if to == 0 || s.visible(ctx, a, View(a.Actor), to) != nil {
			e.Field("other", "customer.relation.who")
		}
		note = line(note)
		limit(e, "note", "customer.relation.note", note, maxLine)
		if err := e.OrNil(); err != nil {
			return err
		}
		x, y := from, to
		if slices.Contains(mutual, kind) && y < x {
			x, y = y, x
		}
		res, err := a.Exec(ctx, `INSERT INTO customer_relations (from_id, to_id, kind, note, created_by_name, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			x, y, kind, note, a.Actor.Name, a.NowMicros())
		if err != nil {
			return fmt.Errorf("customer: relate: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.New(fault.Conflict, "customer.invalid").Field("other", "customer.relation.twice")
		}
		return s.recordRelation(ctx, a, RelationMade, x, y, kind)
	})
}

// Unrelate takes a relation of the customer away again.
func (s *Service) Unrelate(ctx context.Context, actor authz.Actor, id, relation int64) error {
	return s.run.Do(ctx, actor, "customer.unrelate", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		var x, y int64
		var kind string
		err := a.QueryRow(ctx, `DELETE FROM customer_relations WHERE id = $1 AND (from_id = $2 OR to_id = $3) RETURNING from_id, to_id, kind`, relation, id, id).Scan(&x, &y, &kind)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "customer.relation.gone")
		}
		if err != nil {
			return fmt.Errorf("customer: unrelate: %w", err)
		}
		return s.recordRelation(ctx, a, RelationEnded, x, y, kind)
	})
}

// RelationData is the data of RelationMade and RelationEnded: who the other one
// is, by his number.
type RelationData struct {
	Relation string `json:"relation"`
	Way      string `json:"way"`
	Other    int64  `json:"other"`
	Number   string `json:"number"`
}

// recordRelation notes it with both customers.
func (s *Service) recordRelation(ctx context.Context, a *action.Action, kind string, from, to int64, relation string) error {
	for _, x := range []struct {
		id, other int64
		way       string
	}{{from, to, "out"}, {to, from, "in"}} {
		if slices.Contains(mutual, relation) {
			x.way = "both"
		}
		r, err := s.ref(ctx, a, x.other)
		if err != nil {
			return err
		}
		a.Record(event.Event{Kind: kind, Subject: Subject(x.id), Data: RelationData{relation, x.way, x.other, r.Number}})
	}
	return nil
}

// Relations returns what others are to a customer the reader may see; those
// beyond his scope are left out.
func (s *Service) Relations(ctx context.Context, sc authz.Scope, id int64) ([]Relation, error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, err
	}
	var a db.Args
	end := func(own, other, way string) string {
		return `SELECT r.id AS rid, r.kind AS kind, '` + way + `' AS way, c.id AS id, c.number AS number, c.name AS name, c.type AS type, c.level AS level, r.note AS note, r.created_by_name AS made_by, r.created_at AS at
			FROM customer_relations r JOIN customers c ON c.id = r.` + other + ` WHERE r.` + own + ` = ` + a.Add(id) + ` AND r.from_id <> r.to_id AND ` + within(sc, &a)
	}
	rows, err := q.Query(ctx, `SELECT rid, kind, way, id, number, name, type, level, note, made_by, at FROM (`+end("from_id", "to_id", "out")+` UNION ALL `+end("to_id", "from_id", "in")+`) x ORDER BY kind, at DESC, rid LIMIT 200`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: relations of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Relation
	for rows.Next() {
		var r Relation
		var at int64
		if err := rows.Scan(&r.ID, &r.Kind, &r.Way, &r.Other.ID, &r.Other.Number, &r.Other.Name, (*string)(&r.Other.Type), (*string)(&r.Other.Level), &r.Note, &r.By, &at); err != nil {
			return nil, fmt.Errorf("customer: relations of %d: %w", id, err)
		}
		if slices.Contains(mutual, r.Kind) {
			r.Way = "both"
		}
		r.At = db.FromMicros(at)
		out = append(out, r)
	}
	return out, rows.Err()
}

// contactMove is a line of the history of contacts.
type contactMove struct {
	kind                          string
	contact, otherCustomer, other int64
	reason                        string
}

func noteMove(ctx context.Context, a *action.Action, customerID int64, m contactMove) error {
	_, err := a.Exec(ctx, `INSERT INTO contact_moves (customer_id, contact_id, kind, other_customer_id, other_contact_id, reason, by_name, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		customerID, m.contact, m.kind, m.otherCustomer, m.other, m.reason, a.Actor.Name, a.NowMicros())
	if err != nil {
		return fmt.Errorf("customer: note contact of %d: %w", customerID, err)
	}
	return nil
}

// newKey sees to it that somebody is the one to speak to first and notes when
// it is somebody else than before (CUS-20).
func (s *Service) newKey(ctx context.Context, a *action.Action, old Customer) ([]Change, error) {
	_, err := a.Exec(ctx, `
		UPDATE contacts SET is_primary = 1
		WHERE  id = (SELECT MIN(id) FROM contacts WHERE customer_id = $1 AND active = 1)
		  AND  NOT EXISTS (SELECT 1 FROM contacts x WHERE x.customer_id = $2 AND x.is_primary = 1 AND x.active = 1)`, old.ID, old.ID)
	if err != nil {
		return nil, err
	}
	var now int64
	var name string
	err = a.QueryRow(ctx, `SELECT id, name FROM contacts WHERE customer_id = $1 AND is_primary = 1 AND active = 1 ORDER BY id LIMIT 1`, old.ID).Scan(&now, &name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	var was Contact
	if k := old.Primary(); k.Primary {
		was = k
	}
	if was.ID == now || was.ID == 0 {
		return nil, nil
	}
	if err := noteMove(ctx, a, old.ID, contactMove{kind: "key", contact: now, other: was.ID}); err != nil {
		return nil, err
	}
	return []Change{{Change: event.Change{Field: "contact.primary", Old: cnid.MaskName(was.Name), New: cnid.MaskName(name)}}}, nil
}

// end takes a contact from a customer's page; he stays as a former one.
func (s *Service) end(ctx context.Context, a *action.Action, c Customer, contactID int64, change event.Change, m contactMove) error {
	_, err := a.Exec(ctx, `UPDATE contacts SET active = 0, is_primary = 0, left_at = $1, moved_to = $2, updated_at = $3, version = version + 1 WHERE id = $4`,
		a.NowMicros(), m.other, a.NowMicros(), contactID)
	if err == nil {
		_, err = a.Exec(ctx, `UPDATE customers SET updated_at = $1, version = version + 1 WHERE id = $2`, a.NowMicros(), c.ID)
	}
	if err != nil {
		return fmt.Errorf("customer: contact %d leaves: %w", contactID, err)
	}
	if err := noteMove(ctx, a, c.ID, m); err != nil {
		return err
	}
	key, err := s.newKey(ctx, a, c)
	if err != nil {
		return fmt.Errorf("customer: contact %d leaves: %w", contactID, err)
	}
	if err := s.reindex(ctx, a.Tx, c.ID); err != nil {
		return err
	}
	of := ""
	for _, k := range c.Contacts {
		if k.ID == contactID {
			of = cnid.MaskName(k.Name)
		}
	}
	a.Record(event.Event{Kind: Changed, Subject: Subject(c.ID), Reason: m.reason, Data: ChangedData{append([]Change{{Change: change, Of: of}}, key...)}})
	return nil
}

// leaving loads the customer of an active contact whom the actor may edit.
func (s *Service) leaving(ctx context.Context, a *action.Action, customerID, contactID int64) (c Customer, k Contact, err error) {
	if err := s.may(ctx, a, customerID, PermEdit); err != nil {
		return c, k, err
	}
	if c, err = s.load(ctx, a, customerID); err != nil {
		return c, k, err
	}
	i := slices.IndexFunc(c.Contacts, func(k Contact) bool { return k.ID == contactID })
	if i < 0 {
		return c, k, fault.New(fault.NotFound, "customer.contact.unknown")
	}
	return c, c.Contacts[i], nil
}

// LetContactGo notes that a contact no longer speaks for the customer.
func (s *Service) LetContactGo(ctx context.Context, actor authz.Actor, customerID, contactID int64, reason string) error {
	return s.run.Do(ctx, actor, "customer.contact_left", func(ctx context.Context, a *action.Action) error {
		c, k, err := s.leaving(ctx, a, customerID, contactID)
		if err != nil {
			return err
		}
		reason = line(reason)
		e := fault.Invalidf("customer.invalid")
		limit(e, "reason", "customer.reason.was", reason, maxLine)
		if err := e.OrNil(); err != nil {
			return err
		}
		return s.end(ctx, a, c, k.ID, event.Change{Field: "contact.left", Old: cnid.MaskName(k.Name)}, contactMove{kind: "left", contact: k.ID, reason: reason})
	})
}

// MoveContact takes a contact to another customer: there he is a new contact
// with the same numbers and addresses, here he stays as a former one who leads
// there. It returns the new contact.
func (s *Service) MoveContact(ctx context.Context, actor authz.Actor, customerID, contactID, to int64, position, reason string) (moved int64, err error) {
	err = s.run.Do(ctx, actor, "customer.contact_moved", func(ctx context.Context, a *action.Action) error {
		c, k, err := s.leaving(ctx, a, customerID, contactID)
		if err != nil {
			return err
		}
		reason, position = line(reason), line(position)
		e := fault.Invalidf("customer.invalid")
		limit(e, "reason", "customer.reason.was", reason, maxLine)
		limit(e, "position", "customer.contact.position", position, maxShort)
		if to == customerID {
			e.Field("to", "customer.contact.move.same")
		} else if to == 0 || s.visible(ctx, a, View(a.Actor), to) != nil {
			e.Field("to", "customer.contact.move.who")
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if err := s.covers(ctx, a, authz.For(a.Actor, PermEdit), to, PermEdit); err != nil {
			return err
		}
		other, err := s.load(ctx, a, to)
		if err != nil {
			return err
		}
		if len(other.Contacts) >= maxContacts {
			return fault.Invalidf("customer.invalid").Field("to", "customer.contacts.many", maxContacts)
		}
		if moved, err = s.copyContact(ctx, a.Tx, k, to, position, len(other.Contacts) == 0); err != nil {
			return err
		}
		if err := s.end(ctx, a, c, k.ID, event.Change{Field: "contact.moved", Old: c.Name, New: other.Name}, contactMove{"moved", k.ID, to, moved, reason}); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE customers SET updated_at = $1, version = version + 1 WHERE id = $2`, a.NowMicros(), to); err != nil {
			return fmt.Errorf("customer: contact moves: %w", err)
		}
		if err := s.reindex(ctx, a.Tx, to); err != nil {
			return err
		}
		from := c.Name
		if c.Type == Person {
			from = cnid.MaskName(from)
		}
		a.Record(event.Event{Kind: Changed, Subject: Subject(to), Reason: reason,
			Data: ChangedData{[]Change{{Change: event.Change{Field: "contact.added", Old: from, New: cnid.MaskName(k.Name)}, Of: cnid.MaskName(k.Name)}}}})
		return nil
	})
	return moved, err
}

// copyContact makes k a contact of another customer. His values are opened and
// sealed anew: a sealed value is bound to its row.
func (s *Service) copyContact(ctx context.Context, tx *db.Tx, k Contact, to int64, position string, primary bool) (int64, error) {
	var phone, email, wechat []byte
	if err := tx.QueryRow(ctx, `SELECT phone_sealed, email_sealed, wechat_sealed FROM contacts WHERE id = $1`, k.ID).Scan(&phone, &email, &wechat); err != nil {
		return 0, fmt.Errorf("customer: contact %d moves: %w", k.ID, err)
	}
	open := func(f Field, v []byte) (string, error) {
		if len(v) == 0 {
			return "", nil
		}
		return s.keys.Open(crypt.Place("contacts", k.ID, string(f)), v)
	}
	p, err1 := open(Phone, phone)
	m, err2 := open(Email, email)
	w, err3 := open(Wechat, wechat)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, fmt.Errorf("customer: contact %d moves: %w", k.ID, err)
	}
	in := ContactInput{Name: k.Name, Gender: k.Gender, Position: position, Role: k.Role, Email: m, Wechat: w, Primary: primary}
	if p != "" {
		var err error
		if in.phone, err = cnid.ParsePhone(p); err != nil {
			return 0, fmt.Errorf("customer: contact %d moves: %w", k.ID, err)
		}
	}
	id, err := s.insertContact(ctx, tx, to, in, 0)
	if err != nil {
		return 0, err
	}
	own, err := s.fields.Values(ctx, tx, field.Contact, []int64{k.ID}, nil)
	if err != nil {
		return 0, err
	}
	var values []field.Value
	for _, v := range own[k.ID] {
		values = append(values, v)
	}
	_, err = s.fields.Set(ctx, tx, field.Contact, id, values)
	return id, err
}

// Former is somebody who no longer speaks for a customer.
type Former struct {
	Contact
	LeftAt time.Time
	Reason string
	// To is where he went, zero when unknown or beyond the reader's scope.
	To Ref
}

// FormerContacts returns who has left a customer the reader may see, the last
// one first.
func (s *Service) FormerContacts(ctx context.Context, sc authz.Scope, id int64) ([]Former, error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, err
	}
	var a db.Args
	seen := within(sc, &a)
	rows, err := q.Query(ctx, `
		SELECT   k.id, k.customer_id, k.name, k.gender, k.position, k.role, k.phone_masked, k.email_masked, k.wechat_masked, k.left_at,
		         COALESCE((SELECT m.reason FROM contact_moves m WHERE m.customer_id = k.customer_id AND m.contact_id = k.id AND m.kind <> 'key' ORDER BY m.id DESC LIMIT 1), ''),
		         COALESCE(c.id, 0), COALESCE(c.number, ''), COALESCE(c.name, ''), COALESCE(c.type, ''), COALESCE(c.level, '')
		FROM     contacts k LEFT JOIN contacts n ON n.id = k.moved_to AND k.moved_to > 0 LEFT JOIN customers c ON c.id = n.customer_id AND `+seen+`
		WHERE    k.customer_id = `+a.Add(id)+` AND k.active = 0
		ORDER BY k.left_at DESC, k.id DESC LIMIT 100`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: former contacts of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Former
	for rows.Next() {
		var f Former
		var left int64
		if err := rows.Scan(&f.ID, &f.CustomerID, &f.Name, &f.Gender, &f.Position, &f.Role, &f.Phone, &f.Email, &f.Wechat, &left, &f.Reason,
			&f.To.ID, &f.To.Number, &f.To.Name, (*string)(&f.To.Type), (*string)(&f.To.Level)); err != nil {
			return nil, fmt.Errorf("customer: former contacts of %d: %w", id, err)
		}
		f.LeftAt = db.FromMicros(left)
		out = append(out, f)
	}
	return out, rows.Err()
}

// ContactLine is a line of the history of a customer's contacts.
type ContactLine struct {
	Kind   string // left, moved, came, key; named customer.contact.line.<kind>
	Name   string // whom it is about; "" nobody (key)
	Before string // key: who was it
	Other  Ref    // moved: where to; came: where from; zero beyond the reader's scope
	Reason string
	By     string
	At     time.Time
}

// ContactHistory returns how the contacts of a customer the reader may see came
// and went and who was the one to speak to, newest first.
func (s *Service) ContactHistory(ctx context.Context, sc authz.Scope, id int64) ([]ContactLine, error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, err
	}
	var a db.Args
	half := func(kind, where, name, before, other string) string {
		return `SELECT m.id AS mid, ` + kind + ` AS kind, COALESCE(k.name, '') AS name, COALESCE(b.name, '') AS before_name, COALESCE(c.id, 0) AS cid, COALESCE(c.number, '') AS number,
				COALESCE(c.name, '') AS cname, m.reason AS reason, m.by_name AS by_name, m.at AS at
			FROM contact_moves m LEFT JOIN contacts k ON k.id = ` + name + ` LEFT JOIN contacts b ON b.id = ` + before + ` LEFT JOIN customers c ON c.id = ` + other + ` AND ` + within(sc, &a) + ` WHERE ` + where
	}
	query := half("m.kind", "m.customer_id = "+a.Add(id), "m.contact_id", "CASE WHEN m.kind = 'key' THEN m.other_contact_id ELSE 0 END", "m.other_customer_id")
	query += ` UNION ALL ` + half("'came'", "m.other_customer_id > 0 AND m.other_customer_id = "+a.Add(id), "m.other_contact_id", "0", "m.customer_id")
	rows, err := q.Query(ctx, `SELECT kind, name, before_name, cid, number, cname, reason, by_name, at FROM (`+query+`) x ORDER BY at DESC, mid DESC LIMIT 100`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: history of contacts of %d: %w", id, err)
	}
	defer rows.Close()
	var out []ContactLine
	for rows.Next() {
		var l ContactLine
		var at int64
		if err := rows.Scan(&l.Kind, &l.Name, &l.Before, &l.Other.ID, &l.Other.Number, &l.Other.Name, &l.Reason, &l.By, &at); err != nil {
			return nil, fmt.Errorf("customer: history of contacts of %d: %w", id, err)
		}
		l.At = db.FromMicros(at)
		out = append(out, l)
	}
	return out, rows.Err()
}

// Key is the locale key of a relation as its reader sees it.
func (r Relation) Key() string {
	return "customer.relation." + strings.TrimSuffix(r.Kind+"."+r.Way, ".both")
}
