package app

import (
	"fmt"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/i18n"
	"bihuan/internal/importer"
)

// importCmd takes tables in, also beside a running server.
type importCmd struct {
	Customers importCustomersCmd `cmd:"" help:"Import customers from an .xlsx or .csv with the columns of 客户信息登记表."`
	Tickets   importTicketsCmd   `cmd:"" help:"Import tickets from an .xlsx or .csv with the columns of 服务任务分配表."`
}

type importFlags struct {
	store
	File    string            `arg:"" help:"Table to import." type:"existingfile"`
	DryRun  bool              `help:"Say what would happen and change nothing."`
	Sheet   string            `help:"Sheet of a workbook; the first with rows when not given."`
	Map     map[string]string `help:"What a column means, in place of the guess: --map 公司=客户名称." placeholder:"HEADING=FIELD"`
	Result  string            `help:"Where the result file goes; beside the table when not given." type:"path"`
	Default string            `help:"Department for rows that name an unknown one; without it such rows are reported." placeholder:"DEPARTMENT"`
	Source  string            `help:"Keeps the IDs of several old systems apart." placeholder:"NAME"`
}

type (
	importCustomersCmd struct{ importFlags }
	importTicketsCmd   struct{ importFlags }
)

func (c *importCustomersCmd) Run(e *env) error { return c.run(e, importer.Customers) }
func (c *importTicketsCmd) Run(e *env) error   { return c.run(e, importer.Tickets) }

func (c *importFlags) run(e *env, k importer.Kind) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	l := terminalLang()
	o := importer.Options{DryRun: c.DryRun, Sheet: c.Sheet, Mapping: c.Map, Result: c.Result, Source: c.Source, Lang: l}
	if c.Default != "" {
		o.Unknown, o.Default = importer.UseDefault, c.Default
	}
	var last time.Time
	o.Progress = func(n importer.Counts) {
		if now := time.Now(); now.Sub(last) >= time.Second {
			last = now
			fmt.Fprintln(e.errOut, i18n.T(l, "importer.cli.progress", n.Rows, n.Imported, n.Skipped, n.Failed))
		}
	}
	sum, err := importer.New(a.Run, a.Org, a.Customers, a.Tickets, nil, nil).Run(e.ctx, authz.System("importer"), k, c.File, o)
	if err != nil {
		return said(err)
	}
	n := sum.Counts
	fmt.Fprintln(e.out, i18n.T(l, "importer.cli.summary", n.Rows, n.Imported, n.Warned, n.Skipped, n.Failed))
	if len(sum.Unknown) > 0 {
		fmt.Fprintln(e.out, i18n.T(l, "importer.cli.unknown", strings.Join(sum.Unknown, "、")))
	}
	if sum.Result != "" {
		fmt.Fprintln(e.out, i18n.T(l, "importer.cli.result", sum.Result))
	}
	return nil
}
