package field

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
)

// Object is what a field belongs to.
type Object string

const (
	Customer Object = "customer"
	Contact  Object = "contact"
	Ticket   Object = "ticket"
)

// Objects in the order they are shown.
var Objects = []Object{Customer, Contact, Ticket}

// Types are the types of records a field may be limited to, as their rooms
// write them. A contact has the type of its customer.
var Types = map[Object][]string{
	Customer: {"company", "person"},
	Contact:  {"company", "person"},
	Ticket:   {"consultation", "complaint", "after_sales", "other"},
}

// Kind is what values of a field are.
type Kind string

const (
	Text   Kind = "text"   // one line
	Number Kind = "number" // with up to four decimals
	Money  Kind = "money"  // 元, kept in 分
	Date   Kind = "date"
	Choice Kind = "choice" // one of its options
	Multi  Kind = "multi"  // any of its options
	User   Kind = "user"   // a colleague
	Bool   Kind = "bool"
	Link   Kind = "link" // an address on the web
)

// Kinds in the order they are offered.
var Kinds = []Kind{Text, Number, Money, Date, Choice, Multi, User, Bool, Link}

// Chosen reports whether values are options of the field.
func (k Kind) Chosen() bool { return k == Choice || k == Multi }

// Numeric reports whether values have an order and a column num.
func (k Kind) Numeric() bool { return k == Number || k == Money || k == Date || k == User || k == Bool }

// Option is one answer of a choice. Off: no longer offered, kept for the records
// that have it.
type Option struct {
	Code  string
	Label string
	Off   bool
}

// Def is a field as its users meet it, in the reader's language.
type Def struct {
	ID         int64
	Object     Object
	Code       string
	Label      string
	Help       string
	Kind       Kind
	Options    []Option // those switched off included
	Required   bool
	Types      []string // of records it applies to; nil all
	Default    string   // as [Value.Raw]; "" none
	Searchable bool
	Filterable bool

	field *Field
}

// Applies reports whether records of the type have the field; "" is a type not
// known yet, which has all fields.
func (d Def) Applies(typ string) bool {
	return len(d.Types) == 0 || typ == "" || slices.Contains(d.Types, typ)
}

// LabelIn is the field's name in another language.
func (d Def) LabelIn(l i18n.Lang) string { return d.field.Label.In(l) }

// Name is the field's name in forms, faults and the API: "fields.<code>".
func (d Def) Name() string { return Prefix + d.Code }

// Prefix begins the names of fields in forms and faults.
const Prefix = "fields."

// Words are a text in the languages of the product; En may be empty, then Zh is
// shown.
type Words struct{ Zh, En string }

// In returns the text in l.
func (w Words) In(l i18n.Lang) string {
	if l == i18n.En && w.En != "" {
		return w.En
	}
	return w.Zh
}

// Field is a field as its administrator keeps it.
type Field struct {
	ID         int64
	Object     Object
	Code       string
	Kind       Kind
	Label      Words
	Help       Words
	Required   bool
	Types      []string
	Default    string
	Options    []Choosable
	Position   int64
	Searchable bool
	Filterable bool
	Active     bool
	Version    int64
	Demo       bool // of the sample data; only said when it is added
}

// Choosable is an option as its administrator keeps it.
type Choosable struct {
	Code string `json:"code"`
	Zh   string `json:"zh"`
	En   string `json:"en,omitempty"`
	Off  bool   `json:"off,omitempty"`
}

func (f *Field) in(l i18n.Lang) Def {
	d := Def{ID: f.ID, Object: f.Object, Code: f.Code, Label: f.Label.In(l), Help: f.Help.In(l), Kind: f.Kind, Required: f.Required,
		Types: f.Types, Default: f.Default, Searchable: f.Searchable, Filterable: f.Filterable, field: f}
	if len(f.Options) > 0 {
		d.Options = make([]Option, len(f.Options))
		for i, o := range f.Options {
			d.Options[i] = Option{o.Code, Words{o.Zh, o.En}.In(l), o.Off}
		}
	}
	return d
}

// choose returns the option of that code or label; ok is false when there is
// none. Of several with one label the first that is still offered is meant.
func (f *Field) choose(text string) (c Choosable, ok bool) {
	want := Fold(text)
	for _, o := range f.Options {
		if o.Code == text {
			return o, true
		}
		if (Fold(o.Zh) == want || o.En != "" && Fold(o.En) == want) && (!ok || c.Off && !o.Off) {
			c, ok = o, true
		}
	}
	return c, ok
}

func (f *Field) optionText(l i18n.Lang, code string) string {
	for _, o := range f.Options {
		if o.Code == code {
			return Words{o.Zh, o.En}.In(l)
		}
	}
	return code
}

// Service is the room.
type Service struct {
	run     *action.Runner
	snap    atomic.Pointer[snapshot]
	loading sync.Mutex
	dropped atomic.Int64

	jobs       *job.Queue // nil until KeepSearch
	reindexers map[Object]Reindexer
}

// New returns the room on the runner's store.
func New(run *action.Runner) *Service { return &Service{run: run} }

func (s *Service) db() *db.DB { return s.run.DB() }

// line makes one line of a text: no control characters, one blank between words.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\uFEFF' || r == '\u200B' || r >= '\uE000' && r <= '\uE002':
			return -1
		case r < ' ' || r >= 0x7f && r <= 0xa0 || r == '\u3000':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}
