package app

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"bihuan/internal/backup"
	"bihuan/internal/db"
	"bihuan/internal/keyring"
)

// upgrade brings the schema up to date, after a copy of what is there: should
// the new version not do, the copy and the old program do.
func upgrade(ctx context.Context, d *db.DB, cfg Config, o Options) error {
	pending, populated, err := d.Pending(ctx)
	if err != nil || !pending {
		return err
	}
	if o.Offline && populated {
		return errors.New("the data is of an older version: start the server once, it upgrades the data after making a copy")
	}
	if populated {
		path, err := backup.BeforeUpgrade(ctx, backup.Source{DB: d, Program: Version}, filepath.Join(cfg.Data, "before-upgrade"))
		if err != nil {
			return err
		}
		o.Log.Info("copied the database before the upgrade", "file", path)
	}
	return d.Migrate(ctx)
}

// backupSource is what a backup of this product consists of.
func (a *App) backupSource(ctx context.Context) (backup.Source, error) {
	needs, err := keyring.Needed(ctx, a.DB.Read())
	src := backup.Source{DB: a.DB, Blobs: filepath.Join(a.Config.Data, "blobs"), Program: Version, KeyFingerprint: strings.Join(needs, " ")}
	if a.Config.Key == "" {
		src.KeyFile = a.Config.KeyFile()
	}
	return src, err
}
