package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	v1 "bihuan/internal/api/v1"
	"bihuan/internal/authz"
	"bihuan/internal/backup"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/event"
	"bihuan/internal/i18n"

	"github.com/alecthomas/kong"
)

// CLI is the command line; its names are a contract for scripts.
type CLI struct {
	ConfigFile string `name:"config" help:"Configuration file (YAML with the names of the flags)." env:"BIHUAN_CONFIG" type:"path"`

	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Token   tokenCmd   `cmd:"" help:"API tokens."`
	Import  importCmd  `cmd:"" help:"Take in tables kept until now."`
	Audit   auditCmd   `cmd:"" help:"The audit trail."`
	Backup  backupCmd  `cmd:"" help:"Write everything into one file, also while the server runs."`
	Restore restoreCmd `cmd:"" help:"Bring a backup back; the server must not run."`
	Keys    keysCmd    `cmd:"" help:"The keys that sensitive values are sealed with."`
	Demo    demoCmd    `cmd:"" help:"The sample data of serve --demo."`
	API     apiCmd     `cmd:"" name:"api" help:"The REST API."`
	Bench   benchCmd   `cmd:"" help:"Measure speed and cost."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what commands work with.
type env struct {
	ctx    context.Context
	out    io.Writer
	errOut io.Writer
}

// Main runs the command line and returns the exit status: 0 done, 1 failed, 2
// not understood.
func Main(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, args, out, errOut)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var cli CLI
	opts := []kong.Option{
		kong.Name("bihuan"), kong.Description("闭环客服 Bihuan: customer service that closes the loop."),
		kong.Writers(out, errOut), kong.Exit(func(int) {}), kong.UsageOnError(),
	}
	if path := configPath(args); path != "" {
		r, err := fileResolver(path)
		if err != nil {
			fmt.Fprintln(errOut, "bihuan:", err)
			return 2
		}
		opts = append(opts, kong.Resolvers(r))
	}
	p, err := kong.New(&cli, opts...)
	if err != nil {
		fmt.Fprintln(errOut, "bihuan:", err)
		return 2
	}
	help := false
	for _, a := range args {
		help = help || a == "--help" || a == "-h"
	}
	if len(args) == 0 {
		args = []string{"--help"}
		help = true
	}
	k, err := p.Parse(args)
	if help {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "bihuan:", err)
		return 2
	}
	if err := k.Run(&env{ctx, out, errOut}); err != nil {
		fmt.Fprintln(errOut, "bihuan:", err)
		return 1
	}
	return 0
}

func logger(c Config, w io.Writer) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel))
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

type serveCmd struct {
	Config
	Demo  bool   `help:"Add sample data (can be removed again)." env:"BIHUAN_DEMO"`
	Pprof string `help:"Loopback address for profiles of this process." env:"BIHUAN_PPROF" hidden:""`
}

func (c *serveCmd) Run(e *env) error {
	log := logger(c.Config, e.errOut)
	slog.SetDefault(log)
	began := time.Now()
	if c.Pprof != "" {
		go serveProfiles(c.Pprof, log)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w (choose another address with --listen)", c.Listen, err)
	}
	defer l.Close()
	a, err := Open(e.ctx, c.Config, Options{Log: log})
	if err != nil {
		return err
	}
	defer a.Close()
	if c.Demo {
		if err := a.addDemo(e.ctx, e.out); err != nil {
			return err
		}
	}
	url := "http://" + l.Addr().String()
	if c.PublicURL != "" {
		url = c.PublicURL
	}
	fmt.Fprintf(e.out, "\n  闭环客服 Bihuan %s\n\n  地址 Address    %s\n", Version, url)
	if a.FirstPassword != "" {
		fmt.Fprintf(e.out, "  账号 Sign-in    %s\n  密码 Password   %s\n\n  密码只显示这一次，首次登录后须修改。\n  The password is shown only once; it must be changed at the first sign-in.\n", a.FirstLogin, a.FirstPassword)
		fmt.Fprint(e.out, "\n  服务时限         紧急工单按 7×24 小时，其余按工作日历（周一至周五 9:00–18:00，遵循法定节假日和调休）；在“设置 - 服务时限策略”中修改。\n  Deadlines       Urgent tickets around the clock, all others in working time (Mon-Fri 9-18, Chinese public holidays); see Settings.\n")
	}
	fmt.Fprintln(e.out)
	log.Info("ready", "listen", l.Addr().String(), "engine", string(a.DB.Dialect()), "version", Version, "took", time.Since(began).Round(time.Millisecond).String())
	err = a.Serve(e.ctx, l)
	log.Info("stopped")
	return err
}

// store are the flags of commands that work on the data beside a server.
type store struct {
	Config `embed:""`
}

func (s store) open(e *env) (*App, error) {
	c := s.Config
	a, err := Open(e.ctx, c, Options{Log: logger(c, e.errOut), Offline: true})
	if err == nil {
		go a.Ring.Follow(e.ctx) // keys may be changed while the command works
	}
	return a, err
}

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token for the REST API and print it."`
}

type tokenCreateCmd struct {
	store
	User   string        `required:"" help:"Sign-in name of the user the token acts for." placeholder:"NAME"`
	Scopes []string      `help:"What the token may do, e.g. tickets:read,tickets:write; without it everything the user may."`
	Name   string        `help:"What the token is for." default:"command line"`
	Valid  time.Duration `help:"How long it is valid; 0: until it is revoked." default:"0"`
}

func (c *tokenCreateCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	var until time.Time
	if c.Valid > 0 {
		until = a.DB.Clock().Now().Add(c.Valid)
	}
	plain, err := a.Org.CreateToken(e.ctx, authz.System("command line"), c.User, c.Name, c.Scopes, until)
	if err != nil {
		return said(err)
	}
	fmt.Fprintln(e.out, plain)
	return nil
}

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check that nothing in the audit trail was changed."`
}

type auditVerifyCmd struct{ store }

func (c *auditVerifyCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	r, err := event.Verify(e.ctx, a.DB.Read())
	if err != nil {
		return err
	}
	if r.BrokenAt != 0 {
		return fmt.Errorf("audit trail broken at entry %d: %s (%d entries before it are whole)", r.BrokenAt, r.Why, r.Events)
	}
	fmt.Fprintf(e.out, "ok: %d entries, head %x, %d not yet sealed\n", r.Events, r.Head, r.Unsealed)
	return nil
}

type backupCmd struct {
	store
	File    string `arg:"" help:"File to write." type:"path"`
	WithKey bool   `help:"Put the encryption keys in as well; guard the file like the keys then."`
}

func (c *backupCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	src, err := a.backupSource(e.ctx)
	if err != nil {
		return err
	}
	src.IncludeKey = c.WithKey
	r, err := backup.Write(e.ctx, src, c.File)
	if err != nil {
		return said(err)
	}
	fmt.Fprintln(e.out, strings.Join(r.Say(terminalLang()), "\n"))
	return recordBackup(e.ctx, a.Run, r)
}

type restoreCmd struct {
	store
	File  string `arg:"" help:"File made by backup." type:"existingfile"`
	Force bool   `help:"Replace data that is there; it is kept aside."`
}

func (c *restoreCmd) Run(e *env) error {
	t := backup.Target{Dir: c.Data, URL: c.Database, KeyFile: c.KeyFile(), Force: c.Force, Clock: clock.Real()}
	if k, err := crypt.Load(c.KeyFile()); err == nil {
		t.KeyFingerprint = strings.Join(k.Marks(), " ")
	}
	r, err := backup.Restore(e.ctx, c.File, t)
	if err != nil {
		return said(err)
	}
	fmt.Fprintln(e.out, strings.Join(r.Say(terminalLang()), "\n"))
	return recordRestore(e.ctx, c.Config, r)
}

type apiCmd struct {
	Docs apiDocsCmd `cmd:"" help:"Print the API reference."`
}

type apiDocsCmd struct{}

func (apiDocsCmd) Run(e *env) error { fmt.Fprint(e.out, v1.Reference()); return nil }

type versionCmd struct{}

func (versionCmd) Run(e *env) error { fmt.Fprintln(e.out, "bihuan", Version); return nil }

// said turns a fault into its sentence, in the language of the terminal.
func said(err error) error {
	return errors.New(Explain(terminalLang(), err))
}

func terminalLang() i18n.Lang {
	for _, v := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if s := os.Getenv(v); s != "" {
			l, _ := i18n.Parse(strings.ReplaceAll(s, "_", "-"))
			if strings.HasPrefix(strings.ToLower(s), "zh") {
				return l
			}
			return i18n.En
		}
	}
	return i18n.En
}
