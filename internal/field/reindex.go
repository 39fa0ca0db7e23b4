package field

import (
	"context"
	"fmt"

	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/job"
)

// Reindexer writes the search texts of records anew.
type Reindexer func(ctx context.Context, tx *db.Tx, ids []int64) error

const (
	reindexJob   = "field_reindex"
	reindexBatch = 200
)

type reindexArgs struct {
	Field  int64  `json:"field"`
	Object Object `json:"object"`
}

// KeepSearch makes changes of a definition reach the search texts of the records
// that have values in it, in the background: a field that becomes searchable, is
// switched off, or has an option renamed.
func (s *Service) KeepSearch(jobs *job.Queue, by map[Object]Reindexer) {
	s.jobs, s.reindexers = jobs, by
	jobs.Add(job.Worker{Kind: reindexJob, Handle: s.reindex})
}

// searched asks for the reindexing if the changes need it.
func (s *Service) searched(ctx context.Context, tx *db.Tx, f, old Field, changes []event.Change) error {
	if s.jobs == nil || old.ID == 0 || !f.Searchable && !old.Searchable {
		return nil
	}
	for _, c := range changes {
		switch c.Field {
		case "field.searchable", "field.active", "field.options":
			_, err := s.jobs.Enqueue(ctx, tx, reindexJob, reindexArgs{f.ID, f.Object}, job.Opts{})
			return err
		}
	}
	return nil
}

// reindex goes through the records by their ids; begun again it does the same
// work once more.
func (s *Service) reindex(ctx context.Context, j *job.Job) error {
	var args reindexArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	write := s.reindexers[args.Object]
	if write == nil {
		return job.Discard(fmt.Errorf("field: nobody reindexes %s", args.Object))
	}
	s.snap.Store(nil) // another node may have changed it a moment ago
	done := 0
	for after := int64(0); ; {
		ids, err := having(ctx, s.db().Read(), args, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error { return write(ctx, tx, ids) }); err != nil {
			return err
		}
		after = ids[len(ids)-1]
		if done += len(ids); done%(10*reindexBatch) == 0 {
			if err := j.SetProgress(ctx, fmt.Sprint(done)); err != nil {
				return err
			}
		}
	}
}

// having returns the next records with a value in the field.
func having(ctx context.Context, q db.Querier, args reindexArgs, after int64) ([]int64, error) {
	rows, err := q.Query(ctx, `
		SELECT DISTINCT record_id FROM field_values WHERE object = $1 AND record_id > $2 AND field_id = $3
		ORDER BY record_id LIMIT $4`, string(args.Object), after, args.Field, reindexBatch)
	if err != nil {
		return nil, fmt.Errorf("field: records: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("field: records: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
