package db

// badRow is a row whose Scan gives err.
type badRow struct{ err error }

func (r badRow) Scan(...any) error { return r.err }
