package ticketui

import (
	"net/http"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// handoverView asks whose work goes to whom.
type handoverView struct {
	Form   *web.Form
	From   *org.Person
	Counts []handoverCount
	Total  int
	People []ui.Option // whose work the reader may hand over
	To     []ui.Option
	Self   bool
}

type handoverCount struct {
	State string
	N     int
	Href  string
}

// handoverState is a handover under way, or done.
type handoverState struct {
	ticket.Handover
	From, To, By string
	Percent      int
	Got          []got
}

type got struct {
	Name, Href string
	N          int
}

var (
	handoverPage = ui.NewPage[handoverView](files, "handover.html").Sample(
		handoverView{Form: &web.Form{}, From: &org.Person{ID: 1, Name: "n", Away: true}, Counts: []handoverCount{{"pending", 2, "/x"}}, Total: 2, People: []ui.Option{{Value: "1", Label: "n"}}, To: []ui.Option{{Value: "2", Label: "m"}}},
		handoverView{Form: &web.Form{}, From: &org.Person{ID: 1, Name: "n"}, Self: true})
	handoverStatePage = ui.NewPage[handoverState](files, "handoverstate.html").Sample(
		handoverState{From: "a", To: "b", By: "c", Percent: 40, Handover: ticket.Handover{ID: 1, Total: 5, Moved: 2, Unassigned: 1, Reason: "r"}, Got: []got{{"b", "/x", 2}}},
		handoverState{From: "a", By: "c", Handover: ticket.Handover{Done: true, FinishedAt: sampleTime}})
)

func (p *pages) handoverView(r *web.Request, f *web.Form) (v handoverView, err error) {
	v = handoverView{Form: f}
	ctx := r.Context()
	all, err := p.Org.Colleagues(ctx, r.Actor, "", 0, ticket.PermHandle, 0)
	if fault.Is(err, fault.Forbidden) {
		err = nil
	}
	if err != nil {
		return v, err
	}
	for _, x := range all {
		if ticket.MayHandOver(r.Actor, x.ID, x.DepartmentID) && x.ID != r.Actor.ID {
			v.People = append(v.People, ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department})
		}
	}
	if ticket.MayHandOver(r.Actor, r.Actor.ID, r.Actor.DepartmentID) {
		v.People = append([]ui.Option{{Value: id(r.Actor.ID), Label: r.T("handover.myself", r.Actor.Name)}}, v.People...)
	}
	if len(v.People) == 0 {
		return v, authz.Denied(ticket.PermAssign)
	}
	from := f.ID("from")
	if from == 0 {
		return v, nil
	}
	who, ok, err := p.Org.Person(ctx, nil, from)
	if err != nil {
		return v, err
	}
	if !ok || !ticket.MayHandOver(r.Actor, who.ID, who.DepartmentID) {
		return v, fault.New(fault.Forbidden, "handover.not_yours")
	}
	v.From, v.Self = &who, who.ID == r.Actor.ID
	counts, err := p.Tickets.OpenByState(ctx, from)
	if err != nil {
		return v, err
	}
	for _, st := range ticket.States {
		if n := counts[st]; n > 0 {
			v.Counts = append(v.Counts, handoverCount{string(st), n, "/tickets?view=open&type=&assignee=" + id(from)})
			v.Total += n
		}
	}
	people, err := p.people(r, who.DepartmentID, ticket.PermHandle)
	if err != nil {
		return v, err
	}
	for i := range people {
		people[i].Disabled = false // he may take over more than he would be given
	}
	people = slices.DeleteFunc(people, func(o ui.Option) bool { return o.Value == id(from) })
	v.To = append([]ui.Option{{Value: byRouting, Label: r.T("handover.spread")}}, people...)
	return v, nil
}

func (p *pages) showHandover(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if !f.Has("to") {
		f.Set("to", byRouting)
	}
	v, err := p.handoverView(r, f)
	if err != nil {
		return err
	}
	if v.From != nil && v.From.Away {
		f.Set("reason", r.T("handover.reason.leave"))
	}
	return handoverPage.Render(w, r, deskChrome(r, r.T("handover.title")), v)
}

func (p *pages) handOver(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := ticket.HandoverInput{FromID: f.ID("from"), Reason: f.Limited("reason", 500), OffDuty: f.Bool("off_duty")}
	if to := f.String("to"); to == "" {
		f.Fail("to", "handover.to.choose")
	} else if to != byRouting {
		in.ToID = f.ID("to")
	}
	err := f.Err()
	var n int64
	if err == nil {
		n, err = p.Tickets.StartHandover(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.handoverView(r, f)
		if verr != nil {
			return verr
		}
		return handoverPage.Invalid(w, r, err, f, deskChrome(r, r.T("handover.title")), v)
	}
	return r.SeeOther(w, "/desk/handovers/%d", n)
}

func (p *pages) showHandoverState(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	h, err := p.Tickets.HandoverOf(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	name, _, err := p.Org.Names(r.Context())
	if err != nil {
		return err
	}
	v := handoverState{Handover: h, From: name(h.FromID), To: name(h.ToID), By: name(h.ByID)}
	if h.Total > 0 {
		v.Percent = min(100, h.Moved*100/max(h.Total, h.Moved))
	}
	for user, n := range h.Receivers {
		v.Got = append(v.Got, got{name(user), "/tickets?view=open&type=&assignee=" + id(user), n})
	}
	slices.SortFunc(v.Got, func(a, b got) int { return b.N - a.N })
	if r.IsFragment() && r.Target() == "handover" {
		return handoverStatePage.Fragment(w, r, "state", v)
	}
	return handoverStatePage.Render(w, r, deskChrome(r, r.T("handover.title")), v)
}
