package app

import (
	"context"
	"fmt"
	"os/user"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/backup"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/web"
)

// Facts about the data as a whole. A copy of everything is the largest export
// there is, and a restore takes back what the audit trail said since: both are
// in it, with the account of the machine they were made under (GOV-1).
const (
	eventBackup   = "backup.written"
	eventKeyTaken = "backup.key_written" // the copy holds the master key as well
	eventRestore  = "backup.restored"
)

type backupFact struct {
	Args   []string `json:"args"`
	SHA256 string   `json:"sha256,omitempty"` // of the file
}

// machineAccount is who runs the program on this machine.
func machineAccount() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "?"
}

func recordBackup(ctx context.Context, run *action.Runner, r backup.Result) error {
	err := run.Do(ctx, authz.System("command line"), "backup.write", func(_ context.Context, a *action.Action) error {
		f := backupFact{Args: []string{machineAccount(), strconv.Itoa(len(r.Members))}, SHA256: r.SHA256}
		a.Record(event.Event{Kind: eventBackup, Subject: event.Subject{Type: "backup"}, Data: f})
		if r.HasKey {
			a.Record(event.Event{Kind: eventKeyTaken, Subject: event.Subject{Type: "backup"}, Data: f})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("app: the backup is complete but not in the audit trail: %w", err)
	}
	return nil
}

// recordRestore writes down that the data was brought back, in the data that
// was, and signs everybody out: a backup holds the sign-ins of its day, also of
// people who have been signed out, or have left, since.
func recordRestore(ctx context.Context, c Config, r backup.Restored) (err error) {
	d, err := db.Open(ctx, db.Config{URL: c.Database, Dir: c.Data})
	if err != nil {
		return err
	}
	defer d.Close()
	event.NewFollower(d) // on SQLite it seals what is recorded
	err = action.NewRunner(d, nil).Do(ctx, authz.System("command line"), "backup.restore", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `DELETE FROM user_sessions`); err != nil {
			return err
		}
		a.Record(event.Event{Kind: eventRestore, Subject: event.Subject{Type: "backup"},
			Data: backupFact{Args: []string{machineAccount(), r.CreatedAt.In(web.Shanghai).Format("2006-01-02 15:04:05")}}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("app: the data is restored but this is not in the audit trail: %w", err)
	}
	return nil
}
