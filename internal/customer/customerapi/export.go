package customerapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/sheet"

	"github.com/danielgtaylor/huma/v2"
)

const exporting = "customers:export"

// exportRoutes adds lists of customers in files.
func exportRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-customer-exports", Method: "GET", Path: "/customer-exports", Tag: tag, Perm: customer.PermExport, Scope: exporting,
		Summary: "List exports", Description: "Those the caller asked for, the newest first."}, s.exports)
	api.Handle(a, api.Op{ID: "export-customers", Method: "POST", Path: "/customer-exports", Tag: tag, Perm: customer.PermExport, Scope: exporting, Status: 201,
		Example: `{"filter":{"all":[{"field":"level","op":"is","values":["vip"]}]},"columns":["number","name","phone","owner"],"format":"xlsx"}`,
		Summary: "Ask for an export", Description: "The file is written in the background: read the export at its `Location` until it is `finished`, then fetch its file. Above a number of rows the company has set it is `waiting` for approval first, and needs a `reason`. " +
			"Sensitive values are masked. With `clear` they are as they are, which needs a reason, the scope `customers:reveal` and the permission; whose were in the file is recorded."}, s.askExport)
	api.Handle(a, api.Op{ID: "get-customer-export", Method: "GET", Path: "/customer-exports/{id}", Tag: tag, Perm: customer.PermExport, Scope: exporting, Errors: []int{404},
		Summary: "Read an export", Description: "How far it is; only whoever asked for it may."}, s.export)
	api.Handle(a, api.Op{ID: "fetch-customer-export", Method: "GET", Path: "/customer-exports/{id}/file", Tag: tag, Perm: customer.PermExport, Scope: exporting, Errors: []int{404},
		File:    "application/octet-stream",
		Summary: "Fetch the file of an export", Description: "For seven days, by whoever asked for it; each time is recorded. One in clear also needs the scope `customers:reveal`."}, s.exportFile)
	api.Handle(a, api.Op{ID: "cancel-customer-export", Method: "POST", Path: "/customer-exports/{id}/cancellation", Tag: tag, Perm: customer.PermExport, Scope: exporting, Errors: []int{404, 409},
		Summary: "Stop an export", Description: "Also takes back the request for approval. One that is over is a 409."}, s.cancelExport)
}

// ExportPath names an export.
type ExportPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the export" example:"12"`
}

// NewExport is an export to be made.
type NewExport struct {
	Filter  json.RawMessage `json:"filter,omitempty" doc:"Conditions, as the filter of the list of customers takes them; everybody the caller may export when left out"`
	Columns []string        `json:"columns,omitempty" doc:"number, name, type, level, grade, stage, tags, owner, department, source, industry, uscc, region, address, website, parent, remark, created_by, contact, contact_role, position, phone, email, wechat, activity, created, updated, first_contact, stage_at, planned, verified, verify, open_tickets, tickets, rating; fields of your own fields.<code>, of contacts contact.fields.<code>; a usual choice when left out" example:"number"`
	Format  string          `json:"format" enum:"xlsx,csv"`
	Clear   bool            `json:"clear,omitempty" doc:"Sensitive values as they are instead of masked"`
	Reason  string          `json:"reason,omitempty" doc:"Needed with clear, and for many rows"`
	Name    string          `json:"name,omitempty" doc:"Of the file, without extension" example:"重点客户"`
}

// Export is a list of customers on its way into a file.
type Export struct {
	ID         int64      `json:"id"`
	State      string     `json:"state" enum:"waiting,refused,running,finished,failed,cancelled,expired"`
	Name       string     `json:"name" doc:"Of the file" example:"重点客户-20261121-0930.xlsx"`
	Format     string     `json:"format" enum:"xlsx,csv"`
	Columns    []string   `json:"columns"`
	Clear      bool       `json:"clear"`
	Reason     string     `json:"reason,omitempty"`
	Total      int64      `json:"total" doc:"Rows, when it was asked for"`
	Done       int64      `json:"done" doc:"Rows written so far"`
	Size       int64      `json:"size,omitempty" doc:"Of the file, in bytes"`
	Downloads  int64      `json:"downloads"`
	CreatedAt  *time.Time `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"Until when the file can be fetched"`
}

func exportView(ctx context.Context, e customer.Export) Export {
	v := Export{e.ID, e.State, e.Name, string(e.Format), e.Columns, e.Clear, e.Reason, e.Total, e.Done, e.Size, e.Downloads, api.At(ctx, e.CreatedAt), api.At(ctx, e.FinishedAt), api.At(ctx, e.ExpiresAt)}
	if v.Columns == nil {
		v.Columns = []string{}
	}
	return v
}

// Exports is a page of exports.
type Exports struct {
	Items []Export `json:"items"`
	Next  string   `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type exportsOutput struct{ Body Exports }

type exportOutput struct{ Body Export }

func (s *service) exports(ctx context.Context, in *struct{ api.Page }) (*exportsOutput, error) {
	before, _ := strconv.ParseInt(in.Cursor, 10, 64)
	list, err := s.customers.Exports(ctx, api.Actor(ctx), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &exportsOutput{Exports{Items: []Export{}}}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = strconv.FormatInt(list[in.Limit-1].ID, 10)
	}
	for _, e := range list {
		out.Body.Items = append(out.Body.Items, exportView(ctx, e))
	}
	return out, nil
}

type newExportOutput struct {
	Location string `header:"Location" doc:"Address of the export"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Export
}

func (s *service) askExport(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewExport]
}) (*newExportOutput, error) {
	b := in.Body.Value()
	q, err := customer.ParseQuery(string(b.Filter))
	if err != nil {
		return nil, err
	}
	ask, err := s.customers.CheckExport(ctx, api.Actor(ctx), customer.NewExport{Filter: customer.Filter{Query: q}, Columns: b.Columns, Format: sheet.Format(b.Format), Clear: b.Clear, Reason: b.Reason, Name: b.Name})
	if err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "customer.ask_export", b, func(ctx context.Context, a *action.Action) (Export, error) {
		e, err := s.customers.AskExportIn(ctx, a, ask)
		return exportView(ctx, e), err
	})
	if err != nil {
		return nil, err
	}
	return &newExportOutput{fmt.Sprintf("%s/customer-exports/%d", api.Prefix, v.ID), replayed, v}, nil
}

func (s *service) export(ctx context.Context, in *struct{ ExportPath }) (*exportOutput, error) {
	e, err := s.customers.Export(ctx, api.Actor(ctx), in.ID)
	return &exportOutput{exportView(ctx, e)}, err
}

func (s *service) exportFile(ctx context.Context, in *struct{ ExportPath }) (*huma.StreamResponse, error) {
	f, content, err := s.customers.OpenExport(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return api.Send(f, content), nil
}

func (s *service) cancelExport(ctx context.Context, in *struct{ ExportPath }) (*exportOutput, error) {
	if err := s.customers.CancelExport(ctx, api.Actor(ctx), in.ID); err != nil {
		return nil, err
	}
	return s.export(ctx, in)
}
