package privacy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/calendar"
	"bihuan/internal/complaint"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/keyring"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Rooms are what the service stands on.
type Rooms struct {
	Org        *org.Service
	Approvals  *approval.Service
	Fields     *field.Service
	Customers  *customer.Service
	Tickets    *ticket.Service
	Complaints *complaint.Service // nil: there are none
	Files      *blob.Files
	Keys       *crypt.Keeper
	Jobs       *job.Queue
}

// Holder is a room, listener or channel that keeps something of persons beside
// the texts of tables and the files, or refers to files that are removed here.
type Holder struct {
	Name string
	// Forget takes away what is kept of g, in the transaction in which the records
	// go, and again for files that are removed later. It may be called twice.
	Forget func(ctx context.Context, a *action.Action, g Gone) error
}

// Gone is what is erased.
type Gone struct {
	Customers []int64 // whole
	Contacts  []int64 // of customers that stay
	Tickets   []int64 // of Customers; they stay, without the person
	Files     []int64
}

// Service is the room.
type Service struct {
	Rooms
	run     *action.Runner
	holders []Holder
	// exports are the owners of files made from the records of many, which the
	// rule of retention for exports removes.
	exports []string
}

// New returns the room; it declares its kinds of approval and its jobs.
func New(run *action.Runner, r Rooms) *Service {
	s := &Service{Rooms: r, run: run}
	r.Approvals.Register(approval.Definition{Kind: KindDeletion, Steps: []approval.StepKind{approval.Head, approval.Admin}, Describe: s.describeDeletion, Decided: s.deletionDecided})
	r.Approvals.Register(approval.Definition{Kind: KindDisclosure, Steps: []approval.StepKind{approval.Head, approval.Admin}, Describe: s.describeDisclosure, Decided: s.disclosureDecided})
	r.Jobs.Add(job.Worker{Kind: jobErase, Handle: s.workErase})
	r.Jobs.Add(job.Worker{Kind: jobDisclose, Handle: s.workDisclose})
	r.Jobs.Add(job.Worker{Kind: jobFind, Handle: s.workFind})
	r.Jobs.Add(job.Worker{Kind: jobExport, Handle: s.workExport})
	for _, owner := range []string{subjectDisclosure, subjectRequest} {
		// They are fetched through this room only, which writes down who did.
		r.Files.Authorize(owner, func(context.Context, authz.Actor, blob.File) error {
			return fault.New(fault.NotFound, "blob.not_found")
		})
	}
	return s
}

// Hold registers a holder.
func (s *Service) Hold(h Holder) { s.holders = append(s.holders, h) }

// Exports names owners of files that are exports, such as "export".
func (s *Service) Exports(owners ...string) { s.exports = append(s.exports, owners...) }

func (s *Service) db() *db.DB { return s.run.DB() }

// Sealed are the tables of this room whose values a change of keys has to seal
// again.
func (s *Service) Sealed() []keyring.Table {
	return []keyring.Table{keyring.Values(s.db(), s.Keys, "person_requests", "person"), keyring.Values(s.db(), s.Keys, "erasures", "who")}
}

const (
	jobErase    = "erasure"
	jobDisclose = "disclosure"
	jobFind     = "person_search"
	jobExport   = "person_copy"
)

type jobArgs struct {
	ID int64 `json:"id"`
}

// worker is the program acting for this room.
func worker() authz.Actor { return authz.System("privacy") }

func notFound() error { return fault.New(fault.NotFound, "privacy.not_found") }

func line(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("privacy: %T has no JSON: %v", v, err)) // only our own types
	}
	return string(b)
}

// seal keeps v unreadable in a row of table.
func (s *Service) seal(table string, id int64, field string, v any) ([]byte, error) {
	b, err := s.Keys.Seal(crypt.Place(table, id, field), text(v))
	if err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	return b, nil
}

func (s *Service) unseal(table string, id int64, field string, sealed []byte, v any) error {
	if len(sealed) == 0 {
		return nil
	}
	plain, err := s.Keys.Open(crypt.Place(table, id, field), sealed)
	if err == nil {
		err = json.Unmarshal([]byte(plain), v)
	}
	if err != nil {
		return fmt.Errorf("privacy: %w", err)
	}
	return nil
}

// workingDays returns the end of the nth working day after t in the company's
// calendar: holidays do not count, make-up workdays do.
func workingDays(b *calendar.Book, t time.Time, n int) time.Time {
	d := b.Default().WorkingDay(t, n)
	return time.Date(d.Year(), d.Month(), d.Day(), 18, 0, 0, 0, calendar.Zone).UTC()
}

// deciders are the names of who decided, in the order of the steps.
func deciders(r approval.Request) string {
	var names []string
	for _, e := range r.Decisions() {
		n := e.ByName
		if e.ForName != "" {
			n += "（" + e.ForName + "）"
		}
		names = append(names, n)
	}
	return strings.Join(names, "、")
}

// Company is how the company calls itself in what leaves it, in l; until it has
// said so, "the company".
func (s *Service) Company(ctx context.Context, l i18n.Lang) (string, error) {
	c, err := s.Org.Company(ctx)
	if err != nil || c.Name != "" {
		return c.Name, err
	}
	return i18n.T(l, "privacy.company"), nil
}
