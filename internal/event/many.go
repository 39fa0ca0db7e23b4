package event

import (
	"context"
	"encoding/json"
	"fmt"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// AppendAll writes many events inside tx, in order: an import records each row.
func AppendAll(ctx context.Context, tx *db.Tx, actor authz.Actor, action string, es []Event) error {
	if len(es) == 1 {
		return Append(ctx, tx, actor, action, es[0])
	}
	const width = 14
	values := make([]any, 0, len(es)*width)
	for _, e := range es {
		data := []byte("{}")
		if e.Data != nil {
			var err error
			if data, err = json.Marshal(e.Data); err != nil {
				return fmt.Errorf("event: %s: %w", e.Kind, err)
			}
		}
		values = append(values, tx.NowMicros(), e.Kind, e.Subject.Type, e.Subject.ID, string(actor.Kind), actor.ID, actor.Name, action,
			actor.IP, actor.Session, actor.UserAgent, masked(e.Reason), string(data), newSalt())
	}
	err := tx.InsertMany(ctx, `
		INSERT INTO events (at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, action, ip, session, user_agent, reason, data, salt)`, "", width, values)
	if err != nil {
		return fmt.Errorf("event: record %d: %w", len(es), err)
	}
	return nil
}
