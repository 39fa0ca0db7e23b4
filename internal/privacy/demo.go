package privacy

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/job"
)

// demoStaff are the people of the sample data; what one of them asked for came
// with it. What a real person asks about a sample customer stays on record.
const demoStaff = `(SELECT id FROM users WHERE demo = 1)`

// RemoveDemo deletes the deletions, disclosures and requests of the sample data
// with their approvals, files and erasures, and the restrictions of customers who
// go with it. The tickets of the sample data are gone already, its customers and
// staff are not yet.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action) error {
	approvals, err := numbersOf(ctx, a, `
		SELECT approval_id FROM deletions WHERE approval_id > 0 AND asked_by IN `+demoStaff+`
		UNION SELECT approval_id FROM disclosures WHERE approval_id > 0 AND asked_by IN `+demoStaff)
	if err != nil {
		return err
	}
	if err := approval.Remove(ctx, a, approvals); err != nil {
		return err
	}
	deletions, err := numbersOf(ctx, a, `SELECT id FROM deletions WHERE asked_by IN `+demoStaff)
	if err != nil {
		return err
	}
	disclosures, err := numbersOf(ctx, a, `SELECT id FROM disclosures WHERE asked_by IN `+demoStaff)
	if err != nil {
		return err
	}
	requests, err := numbersOf(ctx, a, `SELECT id FROM person_requests WHERE created_by IN `+demoStaff)
	if err != nil {
		return err
	}
	// What is about to be done for them is not done any more.
	jobs, err := numbersOf(ctx, a, `SELECT job_id FROM person_requests WHERE working <> '' AND created_by IN `+demoStaff)
	if err != nil {
		return err
	}
	for _, id := range disclosures { // one that waits has this key, and asking again returns it
		n, err := s.Jobs.Enqueue(ctx, a.Tx, jobDisclose, jobArgs{id}, job.Opts{UniqueKey: fmt.Sprintf("privacy.disclose:%d", id)})
		if err != nil {
			return err
		}
		jobs = append(jobs, n)
	}
	for _, id := range jobs {
		if err := s.Jobs.Cancel(ctx, a.Tx, id); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	for owner, ids := range map[string][]int64{subjectDisclosure: disclosures, subjectRequest: requests} {
		for _, id := range ids {
			files, err := s.Files.Of(ctx, a, owner, id)
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := s.Files.Remove(ctx, a, f); err != nil {
					return err
				}
			}
		}
		err := db.EachIn(ids, func(in string, args []any) error {
			for _, q := range []string{
				`DELETE FROM privacy_downloads WHERE owner_type = '` + owner + `' AND owner_id IN (` + in + `)`,
				`DELETE FROM notifications WHERE event_seq IN (SELECT seq FROM events WHERE subject_type = '` + owner + `' AND subject_id IN (` + in + `))`,
			} {
				if _, err := a.Exec(ctx, q, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("privacy: sample data: %w", err)
		}
	}
	for _, x := range []struct {
		ids     []int64
		queries []string
	}{
		{deletions, []string{`DELETE FROM erasures WHERE cause = 'deletion' AND cause_id IN (`, `DELETE FROM deletions WHERE id IN (`}},
		{disclosures, []string{`DELETE FROM disclosure_customers WHERE disclosure_id IN (`, `DELETE FROM disclosures WHERE id IN (`}},
		{requests, []string{`DELETE FROM erasures WHERE cause = 'request' AND cause_id IN (`, `DELETE FROM restrictions WHERE request_id IN (`, `DELETE FROM person_requests WHERE id IN (`}},
	} {
		err := db.EachIn(x.ids, func(in string, args []any) error {
			for _, q := range x.queries {
				if _, err := a.Exec(ctx, q+in+`)`, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("privacy: sample data: %w", err)
		}
	}
	_, err = a.Exec(ctx, `
		DELETE FROM restrictions WHERE customer_id IN (SELECT c.id FROM customers c WHERE c.demo = 1 AND NOT EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id))`)
	if err != nil {
		return fmt.Errorf("privacy: sample data: %w", err)
	}
	return nil
}

// numbersOf returns the only column of a query.
func numbersOf(ctx context.Context, q db.Querier, query string) (out []int64, err error) {
	rows, err := q.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("privacy: sample data: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("privacy: sample data: %w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}
