package org

import (
	"strings"
	"time"

	"bihuan/internal/event"
	"bihuan/internal/i18n"

	"golang.org/x/text/unicode/norm"
)

// Department is a node of the tree (部门). The root of a company has no parent.
type Department struct {
	ID           int64
	ParentID     int64 // 0: at the top
	Name         string
	HeadID       int64 // 部门负责人; 0: nobody
	SupervisorID int64 // 主管; 0: nobody
	Position     int64 // among its siblings
	Active       bool
	Version      int64
}

// Availability is whether somebody can be given new work (ORG-5).
type Availability string

const (
	Online  Availability = "online"
	Busy    Availability = "busy"
	Offline Availability = "offline"
)

// Availabilities lists them in the order they are offered.
var Availabilities = []Availability{Online, Busy, Offline}

// User is a member of the staff.
type User struct {
	ID           int64
	Login        string
	Name         string
	Initials     string // pinyin initials of the name
	Email, Phone string
	DepartmentID int64
	Teams        []int64 // further departments he works in
	RoleIDs      []int64
	Skills       []int64
	Hours        []Span // when he works; none: not known
	Active       bool
	MustChange   bool // the password was given by somebody else
	Availability Availability
	Capacity     int64     // open tickets he can carry; 0: none are routed to him
	AwayFrom     time.Time // zero: at once
	AwayUntil    time.Time // zero: not away
	DelegateID   int64     // who stands in for him while he is away
	Lang         i18n.Lang
	KeysOff      bool // he wants no single-letter keys
	LockedUntil  time.Time
	LastSignInAt time.Time
	PasswordAt   time.Time // when the password was last set
	CreatedAt    time.Time
	Version      int64
}

// Away reports whether the person is out of office at now.
func (u User) Away(now time.Time) bool { return u.AwayUntil.After(now) && !u.AwayFrom.After(now) }

// Locked reports whether sign-in is refused at now after too many wrong passwords.
func (u User) Locked(now time.Time) bool { return u.LockedUntil.After(now) }

// Role is a set of permissions, each with a data scope (ORG-2, ORG-3).
type Role struct {
	ID      int64
	Code    string // of a built-in one, else generated
	Name    string // as stored; see Title
	Builtin bool
	Version int64
	Users   int // active holders, in lists only
}

// Title is the role's name in the reader's language; own roles have one name.
func (r Role) Title(l i18n.Lang) string {
	if r.Builtin && i18n.Has("org.role."+r.Code) {
		return i18n.T(l, "org.role."+r.Code)
	}
	return r.Name
}

// NormalizeLogin makes one of the many ways to type a login name: full-width
// letters, capitals and blanks around it make no difference.
func NormalizeLogin(s string) string {
	return strings.ToLower(strings.TrimSpace(norm.NFKC.String(s)))
}

// Facts is the data of this room's events.
type Facts struct {
	Name    string         `json:"name,omitempty"` // of the subject, as it was then
	Changes []event.Change `json:"changes,omitempty"`
	Count   int            `json:"count,omitempty"` // e.g. tickets handed over
	To      string         `json:"to,omitempty"`    // to whom
	Why     string         `json:"why,omitempty"`   // locale key: why a sign-in failed
	// Whom to tell, in what words, and the page they are led to.
	Tell []int64  `json:"tell,omitempty"`
	Args []string `json:"args,omitempty"`
	Link string   `json:"link,omitempty"`
}
