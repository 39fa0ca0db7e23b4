package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// badRow returns a row whose Scan gives err: database/sql has no constructor
// for it, so a connector that only fails stands in.
func badRow(ctx context.Context, err error) *sql.Row {
	d := sql.OpenDB(failing{err})
	defer d.Close()
	return d.QueryRowContext(ctx, "")
}

type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return nil, f.err }
func (f failing) Driver() driver.Driver                        { return nil }
