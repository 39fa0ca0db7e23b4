package complaint

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Step is a stage of a complaint; shown as complaint.step.<step>.
type Step string

const (
	Receive     Step = "receive"
	Calm        Step = "calm"
	Classify    Step = "classify"
	Investigate Step = "investigate"
	Propose     Step = "propose"
	Resolve     Step = "resolve"
	Respond     Step = "respond"
	Review      Step = "review"

	// Track is recorded whenever the complainant is told how far his complaint is.
	Track Step = "track"

	described Step = "described" // mood and wish
	upgraded  Step = "upgraded"  // to another level
)

// Steps are in their order.
var Steps = []Step{Receive, Calm, Classify, Investigate, Propose, Resolve, Respond, Review}

// Forms are the steps with what is recorded in them, as the page shows them.
var Forms = []Step{Receive, Calm, Classify, Investigate, Propose, Resolve, Respond, Review, Track}

// eachRound reports whether a second handling has to take the step anew.
func (s Step) eachRound() bool { return slices.Index(Steps, s) >= slices.Index(Steps, Investigate) }

// Words is the locale key of the step's name.
func (s Step) Words() string { return "complaint.step." + string(s) }

// Codes of what is chosen; shown as complaint.<set>.<code>.
var sets = map[string][]string{
	"mood":         {"calm", "anxious", "unhappy", "angry", "furious"},
	"remedy":       {"refund", "replacement", "repair", "substitute", "technical", "information", "referral", "financial", "other", "compensation", "apology", "goodwill"},
	"informed":     {"channels", "languages", "duration", "progress", "recourse"},
	"language":     {"zh", "en", "other"},
	"means":        {"phone", "chat", "sms", "email", "letter", "visit", "message"},
	"severity":     {"low", "medium", "high", "critical"},
	"safety":       {"none", "possible", "certain"},
	"complexity":   {"simple", "moderate", "complex"},
	"impact":       {"single", "several", "many", "public"},
	"immediate":    {"not_needed", "possible", "impossible"},
	"source":       {"complainant", "staff", "records", "recording", "site", "product", "third_party"},
	"justified":    {"justified", "partly", "unjustified", "unclear"},
	"at_once":      {"yes", "no"},
	"answer":       {"none", "accepted", "rejected"},
	"outcome":      {"accepted", "rejected", "withdrawn", "silent"},
	"analysis":     {"single", "recurring", "systemic"},
	"satisfaction": {"5", "4", "3", "2", "1", "not_asked"},
}

// Codes returns the codes of a set, for forms and documents.
func Codes(set string) []string { return slices.Clone(sets[set]) }

// Field is one thing a step records. Its label is complaint.field.<code>.
type Field struct {
	Code     string
	Kind     string // text, area, date, datetime, choice, multi
	Set      string // of choice and multi
	Required bool
	When     string // "safety=possible,certain": asked only then, and then required if Required
	Hint     bool   // complaint.hint.<code>
}

// fields are what each step records (ISO 10002, field by field).
var fields = map[Step][]Field{
	Receive: {
		{Code: "product", Kind: "text", Required: true},
		{Code: "wish", Kind: "choice", Set: "remedy", Required: true},
		{Code: "wish_note", Kind: "text"},
		{Code: "people", Kind: "text", Hint: true},
		{Code: "department", Kind: "text"},
		{Code: "branch", Kind: "text"},
		{Code: "action", Kind: "area", Hint: true},
		{Code: "informed", Kind: "multi", Set: "informed"},
		{Code: "language", Kind: "choice", Set: "language"},
	},
	Calm: {
		{Code: "at", Kind: "datetime", Required: true},
		{Code: "means", Kind: "choice", Set: "means", Required: true},
		{Code: "said", Kind: "area", Required: true, Hint: true},
		{Code: "mood", Kind: "choice", Set: "mood", Required: true},
	},
	Classify: {
		{Code: "severity", Kind: "choice", Set: "severity", Required: true},
		{Code: "complexity", Kind: "choice", Set: "complexity", Required: true},
		{Code: "impact", Kind: "choice", Set: "impact", Required: true},
		{Code: "safety", Kind: "choice", Set: "safety", Required: true},
		{Code: "safety_note", Kind: "area", Required: true, When: "safety=possible,certain"},
		{Code: "immediate", Kind: "choice", Set: "immediate", Required: true},
		{Code: "immediate_note", Kind: "area", Required: true, When: "immediate=possible,impossible"},
	},
	Investigate: {
		{Code: "facts", Kind: "area", Required: true, Hint: true},
		{Code: "sources", Kind: "multi", Set: "source"},
		{Code: "justified", Kind: "choice", Set: "justified", Required: true},
	},
	Propose: {
		{Code: "remedies", Kind: "multi", Set: "remedy", Required: true},
		{Code: "offer", Kind: "area", Required: true},
		{Code: "prevent", Kind: "area"},
		{Code: "at_once", Kind: "choice", Set: "at_once", Required: true},
		{Code: "later_why", Kind: "area", Required: true, When: "at_once=no"},
		{Code: "later_when", Kind: "date", Required: true, When: "at_once=no"},
	},
	Resolve: {
		{Code: "done", Kind: "area", Required: true, Hint: true},
		{Code: "done_at", Kind: "datetime", Required: true},
		{Code: "cause", Kind: "area", Required: true},
		{Code: "corrective", Kind: "area", Required: true},
	},
	Respond: {
		{Code: "decision", Kind: "area", Required: true},
		{Code: "to", Kind: "text", Required: true},
		{Code: "at", Kind: "datetime", Required: true},
		{Code: "means", Kind: "choice", Set: "means", Required: true},
		{Code: "answer", Kind: "choice", Set: "answer", Required: true},
		{Code: "recourse", Kind: "area", Required: true, When: "answer=rejected", Hint: true},
	},
	Review: {
		{Code: "outcome", Kind: "choice", Set: "outcome", Required: true},
		{Code: "recourse", Kind: "area", Required: true, When: "outcome=rejected", Hint: true},
		{Code: "analysis", Kind: "choice", Set: "analysis", Required: true},
		{Code: "analysis_note", Kind: "area", Required: true, When: "analysis=recurring,systemic"},
		{Code: "satisfaction", Kind: "choice", Set: "satisfaction", Required: true, Hint: true},
		{Code: "satisfaction_note", Kind: "text"},
		{Code: "lesson", Kind: "area"},
	},
	Track: {
		{Code: "at", Kind: "datetime", Required: true},
		{Code: "means", Kind: "choice", Set: "means", Required: true},
		{Code: "said", Kind: "area", Required: true},
	},
	described: {
		{Code: "mood", Kind: "choice", Set: "mood"},
		{Code: "wish", Kind: "choice", Set: "remedy"},
		{Code: "wish_note", Kind: "text"},
	},
}

// FieldsOf returns what a step records.
func FieldsOf(s Step) []Field { return slices.Clone(fields[s]) }

// Values are what was recorded: codes, texts, days as 2006-01-02 and instants in
// RFC 3339; several codes are parted by commas.
type Values map[string]string

// Asked reports whether the field concerns the rest of the values.
func (f Field) Asked(v Values) bool {
	if f.When == "" {
		return true
	}
	code, codes, _ := strings.Cut(f.When, "=")
	return slices.Contains(strings.Split(codes, ","), v[code])
}

const (
	maxText = 500
	maxArea = 4000
	// ahead is how far a clock may be wrong before a time lies in the future.
	ahead = 5 * time.Minute
)

// check returns the values a step records, cleaned, or what is wrong with them,
// each at its field.
func check(s Step, in Values, now time.Time) (Values, error) {
	e := fault.Invalidf("complaint.invalid", i18n.Key(s.Words()))
	out := Values{}
	for _, f := range fields[s] {
		if !f.Asked(in) {
			continue
		}
		v := strings.TrimSpace(in[f.Code])
		if v == "" {
			if f.Required {
				e.Field(f.Code, "complaint.need", i18n.Key("complaint.field."+f.Code))
			}
			continue
		}
		switch f.Kind {
		case "text", "area":
			most := maxText
			if f.Kind == "area" {
				most = maxArea
			}
			if n := utf8.RuneCountInString(v); n > most {
				e.Field(f.Code, "ui.form.too_long", most, n)
			}
		case "choice":
			if !slices.Contains(sets[f.Set], v) {
				e.Field(f.Code, "ui.form.choice")
			}
		case "multi":
			var some []string
			for _, c := range strings.Split(v, ",") {
				if c = strings.TrimSpace(c); c == "" || slices.Contains(some, c) {
					continue
				} else if !slices.Contains(sets[f.Set], c) {
					e.Field(f.Code, "ui.form.choice")
					break
				}
				some = append(some, c)
			}
			if v = strings.Join(some, ","); v == "" && f.Required {
				e.Field(f.Code, "complaint.need", i18n.Key("complaint.field."+f.Code))
			}
		case "date":
			if _, err := time.Parse(time.DateOnly, v); err != nil {
				e.Field(f.Code, "ui.form.date")
			}
		case "datetime":
			at, err := time.Parse(time.RFC3339, v)
			switch {
			case err != nil:
				e.Field(f.Code, "ui.form.datetime")
			case at.After(now.Add(ahead)):
				e.Field(f.Code, "complaint.in_future")
			default:
				v = at.UTC().Format(time.RFC3339)
			}
		}
		if v != "" {
			out[f.Code] = v
		}
	}
	for code := range in {
		if !slices.ContainsFunc(fields[s], func(f Field) bool { return f.Code == code }) {
			e.Field(code, "complaint.unknown_field")
		}
	}
	return out, e.OrNil()
}

// Say is the value of a field in words: codes by their names, times in loc.
func (f Field) Say(l i18n.Lang, v Values, loc *time.Location) string {
	val := v[f.Code]
	switch f.Kind {
	case "choice", "multi":
		if val == "" {
			return ""
		}
		var some []string
		for _, c := range strings.Split(val, ",") {
			some = append(some, i18n.T(l, "complaint."+f.Set+"."+c))
		}
		return strings.Join(some, i18n.T(l, "complaint.comma"))
	case "datetime":
		if at, err := time.Parse(time.RFC3339, val); err == nil {
			return at.In(loc).Format("2006-01-02 15:04")
		}
	}
	return val
}

// Line is one thing a record says.
type Line struct{ Label, Text string }

// Lines says a record in l, times in loc.
func (r Record) Lines(l i18n.Lang, loc *time.Location) []Line {
	var out []Line
	for _, f := range fields[r.Step] {
		if text := f.Say(l, r.Values, loc); text != "" {
			out = append(out, Line{i18n.T(l, "complaint.field."+f.Code), text})
		}
	}
	if r.Step == upgraded {
		out = append(out, Line{i18n.T(l, "complaint.level"), i18n.T(l, "complaint.level."+r.Values["level"])})
	}
	return out
}

// Title names in l what a record is.
func (r Record) Title(l i18n.Lang) string {
	switch r.Step {
	case described:
		return i18n.T(l, "complaint.file.wishes")
	case upgraded:
		return i18n.T(l, "complaint.upgrade")
	}
	return i18n.T(l, r.Step.Words())
}
