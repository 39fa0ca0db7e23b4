package importerui

import (
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/i18n"
	"bihuan/internal/importer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// What the tests draw.

func sampleImport(k importer.Kind, s importer.State) importer.Import {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	return importer.Import{ID: 1, Kind: k, State: s, Name: "a.xlsx", Size: 12345, FileID: 1, ResultID: 2, CreatedByName: "n", CreatedAt: at, UpdatedAt: at, FinishedAt: at,
		Counts: importer.Counts{Rows: 500, Imported: 480, Warned: 3, Skipped: 10, Failed: 10, Total: 1000}}
}

func sampleList() listView {
	v := listView{Form: &web.Form{}, Limit: "50 MB", Kinds: []ui.Option{{Value: "customers", Label: "c"}, {Value: "tickets", Label: "t"}}}
	for _, s := range []importer.State{importer.Draft, importer.Checking, importer.Checked, importer.Running, importer.Done, importer.Broken, importer.Stopped} {
		v.Rows = append(v.Rows, sampleImport(importer.Tickets, s))
	}
	return v
}

func sampleImports() []importView {
	problems := []importer.Line{{Line: 3, Result: importer.Refused, Reasons: []importer.Reason{{Key: "importer.reason.phone", Args: []any{"1"}}}},
		{Line: 4, Result: importer.Warned, Reasons: []importer.Reason{{Key: "importer.warn.due", Args: []any{i18n.Key("importer.field.tickets.due"), "x"}}}}, {Line: 5, Result: importer.Skipped}}
	fields := []ui.Option{{Value: "name", Label: "n"}}
	preview := &importer.Preview{Sheets: []string{"1", "2"}, Sheet: "1", Layout: importer.Layout{Header: 1, Names: []string{"a", ""}, Fields: []importer.Field{"name", ""}},
		Rows: []importer.PreviewRow{{Line: problems[0], Cells: []string{"x", "y"}, Read: []string{"", "z"}}, {Line: importer.Line{Line: 9, Result: importer.Imported}, Cells: []string{"x", ""}, Read: []string{"", ""}},
			{Line: importer.Line{Line: 10}, Cells: []string{"x", ""}, Read: []string{"", ""}}}}
	var out []importView
	for _, s := range []importer.State{importer.Draft, importer.Checking, importer.Checked, importer.Running, importer.Done, importer.Broken, importer.Stopped} {
		v := importView{Import: sampleImport(importer.Customers, s), Form: &web.Form{}, Lang: i18n.ZhCN, Problems: problems, More: 7, Levels: &customer.LevelBatch{ID: 3, State: "asked", Total: 2}}
		if s == importer.Draft || s == importer.Checked {
			v.Preview, v.Sheets, v.Unknown = preview, []ui.Option{{Value: "1", Label: "1"}, {Value: "2", Label: "2"}}, "x"
			v.Columns = []columnView{{"a", "c0", fields}, {"b", "c1", fields}}
			v.Choices = []ui.Option{{Value: importer.Report, Label: "r"}, {Value: importer.UseDefault, Label: "d"}}
		}
		if s == importer.Broken {
			v.Failure = "x"
		}
		out = append(out, v)
	}
	wrong := importView{Import: sampleImport(importer.Tickets, importer.Draft), Form: &web.Form{}, Lang: i18n.ZhCN, Problem: "x"}
	return append(out, wrong)
}
