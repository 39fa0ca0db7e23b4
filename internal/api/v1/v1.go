// Package v1 is version 1 of the JSON API as a whole: which rooms it is put
// together from, and its reference for readers (docs/api.md), made from the
// same declarations that serve the requests.
package v1

import (
	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/approval"
	"bihuan/internal/approval/approvalapi"
	"bihuan/internal/calendar"
	"bihuan/internal/calendar/calendarapi"
	"bihuan/internal/canned"
	"bihuan/internal/canned/cannedapi"
	"bihuan/internal/complaint"
	"bihuan/internal/complaint/complaintapi"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerapi"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/knowledge"
	"bihuan/internal/knowledge/knowledgeapi"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/privacy"
	"bihuan/internal/privacy/privacyapi"
	"bihuan/internal/process"
	"bihuan/internal/process/processapi"
	"bihuan/internal/rule"
	"bihuan/internal/rule/ruleapi"
	"bihuan/internal/task"
	"bihuan/internal/task/taskapi"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketapi"
	"bihuan/internal/web"
)

// Rooms are what the API opens.
type Rooms struct {
	Run        *action.Runner
	Org        *org.Service
	Approvals  *approval.Service
	Tasks      *task.Service
	Customers  *customer.Service
	Tickets    *ticket.Service
	Complaints *complaint.Service
	Canned     *canned.Service
	Knowledge  *knowledge.Service
	Privacy    *privacy.Service
	Processes  *process.Service
	Calendars  *calendar.Service
	Rules      *rule.Service
}

// Mount adds the API to rt. cfg.Auth is set here.
func Mount(rt *web.Router, r Rooms, cfg api.Config) *api.API {
	cfg.Auth = orgapi.Bearer{Org: r.Org}
	if rt != nil && cfg.Clock == nil {
		cfg.Clock = rt.Clock()
	}
	a := api.New(rt, cfg)
	customerapi.Routes(a, r.Run, r.Customers, r.Org)
	ticketapi.Routes(a, r.Run, r.Tickets, r.Customers, r.Org)
	complaintapi.Routes(a, r.Complaints, r.Org)
	cannedapi.Routes(a, r.Run, r.Canned, r.Tickets, r.Org)
	knowledgeapi.Routes(a, r.Run, r.Knowledge, r.Tickets, r.Org)
	approvalapi.Routes(a, r.Approvals, r.Org)
	ruleapi.Routes(a, r.Rules)
	taskapi.Routes(a, r.Tasks, r.Org)
	calendarapi.Routes(a, r.Calendars)
	privacyapi.Routes(a, r.Run, r.Privacy, r.Customers, r.Org)
	processapi.Routes(a, r.Run, r.Processes, r.Tickets, r.Customers, r.Org)
	var fields *field.Service
	if r.Customers != nil {
		fields = r.Customers.Fields()
	}
	fieldapi.Routes(a, fields)
	return a
}
