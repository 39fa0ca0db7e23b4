package canned

import (
	"context"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/number"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Service is the room.
type Service struct {
	run       *action.Runner
	org       *org.Service
	customers *customer.Service
	tickets   *ticket.Service
	files     *blob.Files
	// PublicURL is where customers reach the product, for {工单链接}; "": the
	// variable has no value.
	PublicURL string
	// Location is the company's time zone, for {问候语} and dates.
	Location *time.Location
}

// New returns the service.
func New(run *action.Runner, o *org.Service, c *customer.Service, t *ticket.Service, files *blob.Files) *Service {
	return &Service{run: run, org: o, customers: c, tickets: t, files: files, Location: number.Zone}
}

// DB returns the store the room reads from.
func (s *Service) DB() *db.DB { return s.run.DB() }

// Scope says whose a text or a macro is; named canned.scope.<scope>.
type Scope string

const (
	Own        Scope = "own"
	Department Scope = "department"
	Everybody  Scope = "all"
)

// Scopes in the order they are offered.
var Scopes = []Scope{Own, Department, Everybody}

// Place is whose something is.
type Place struct {
	Scope        Scope
	OwnerID      int64 // of one's own
	DepartmentID int64 // of a department's
}

// seen is the condition for what actor sees: his own, that of his departments and
// of those above them, of those he keeps, and everybody's.
func (s *Service) seen(ctx context.Context, actor authz.Actor, a *db.Args, alias string) (string, error) {
	if actor.Kind != authz.User {
		return "1 = 0", nil
	}
	nodes, err := s.org.Tree(ctx)
	if err != nil {
		return "", err
	}
	parent := map[int64]int64{}
	for _, n := range nodes {
		parent[n.ID] = n.ParentID
	}
	var deps []int64
	for _, d := range actor.Teams {
		for ; d != 0 && !slices.Contains(deps, d); d = parent[d] {
			deps = append(deps, d)
		}
	}
	sc := authz.For(actor, PermManage)
	for _, n := range nodes {
		if sc.Matches(nil, n.ID) && !slices.Contains(deps, n.ID) {
			deps = append(deps, n.ID)
		}
	}
	cond := "(" + alias + ".scope = 'all' OR " + alias + ".scope = 'own' AND " + alias + ".owner_id = " + a.Add(actor.ID)
	if len(deps) > 0 {
		cond += " OR " + alias + ".scope = 'department' AND " + alias + ".department_id IN (" + a.AddInts(deps) + ")"
	}
	return cond + ")", nil
}

// MayKeep reports whether actor may add, change and remove what is at p.
func MayKeep(actor authz.Actor, p Place) bool {
	if actor.Kind != authz.User || !actor.Can(PermUse) {
		return false
	}
	sc := authz.For(actor, PermManage)
	switch p.Scope {
	case Own:
		return p.OwnerID == actor.ID
	case Department:
		return p.DepartmentID != 0 && sc.Matches(nil, p.DepartmentID)
	case Everybody:
		return sc.Everything()
	}
	return false
}

// settle brings a place into order for actor and checks that it is his to keep.
func (s *Service) settle(ctx context.Context, a *action.Action, p *Place, bad *fault.Error) error {
	switch p.Scope {
	case Own:
		p.OwnerID, p.DepartmentID = a.Actor.ID, 0
	case Everybody:
		p.OwnerID, p.DepartmentID = 0, 0
	case Department:
		p.OwnerID = 0
		nodes, err := s.org.Tree(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(nodes, func(n org.Node) bool { return n.ID == p.DepartmentID && n.Active }) {
			bad.Field("department", "canned.need_department")
			return nil
		}
	default:
		bad.Field("scope", "canned.need_scope")
		return nil
	}
	if !MayKeep(a.Actor, *p) {
		bad.Field("scope", "canned.scope_denied")
	}
	return nil
}

// Keeps are the places besides his own that actor may keep: departments, and
// whether everybody's.
func (s *Service) Keeps(ctx context.Context, actor authz.Actor) (departments []org.Node, everybody bool, err error) {
	nodes, err := s.org.Tree(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, n := range nodes {
		if n.Active && MayKeep(actor, Place{Scope: Department, DepartmentID: n.ID}) {
			departments = append(departments, n)
		}
	}
	return departments, MayKeep(actor, Place{Scope: Everybody}), nil
}

// Fact is the data of this room's events.
type Fact struct {
	Args    []string       `json:"args,omitempty"` // the title
	Changes []event.Change `json:"changes,omitempty"`
}

// changed is a change of a field, nothing when there is none.
func changed(out []event.Change, field, before, now string) []event.Change {
	if before == now {
		return out
	}
	return append(out, event.Change{Field: "canned." + field, Old: before, New: now})
}

// set writes codes as a column holds them: " a b ", so that each is found whole.
func set(codes []string) string {
	if len(codes) == 0 {
		return ""
	}
	return " " + strings.Join(codes, " ") + " "
}

// within drops what is not among allowed, and doubles.
func within(codes, allowed []string) (out []string) {
	for _, c := range allowed {
		if slices.Contains(codes, c) {
			out = append(out, c)
		}
	}
	return out
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func notFound() error { return fault.New(fault.NotFound, "canned.not_found") }

func stale() error { return fault.New(fault.Conflict, "canned.stale") }
