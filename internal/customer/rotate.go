package customer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/keyring"
)

// Sealed returns the tables with values of customers and contacts that keys
// protect, for changing the keys.
func (s *Service) Sealed() []keyring.Table {
	return []keyring.Table{
		keyring.Values(s.db(), s.keys, "customers", string(Address)),
		{Name: "contacts", Columns: []string{"phone_sealed", "phone_index", "phone4_index", "phone8_index", "email_sealed", "email_index", "wechat_sealed", "wechat_index"},
			Next: s.nextContacts, Stale: keyring.Values(s.db(), s.keys, "contacts", string(Phone), string(Email), string(Wechat)).Stale},
		{Name: "customer_merge_steps", Next: s.nextMerges, Stale: s.staleMerges},
	}
}

// contactKeys are the columns of a contact that are made with keys.
type contactKeys struct {
	phone, phoneIndex, phone4Index, phone8Index []byte
	email, emailIndex                           []byte
	wechat, wechatIndex                         []byte
}

func (k *contactKeys) columns() []*[]byte {
	return []*[]byte{&k.phone, &k.phoneIndex, &k.phone4Index, &k.phone8Index, &k.email, &k.emailIndex, &k.wechat, &k.wechatIndex}
}

// freshContact returns what the columns are with the key in use. They equal old
// when nothing is to be done.
func (s *Service) freshContact(id int64, old contactKeys) (now contactKeys, err error) {
	var phone, email, wechat string
	var errs [3]error
	now.phone, phone, errs[0] = keyring.Fresh(s.keys, crypt.Place("contacts", id, string(Phone)), old.phone)
	now.email, email, errs[1] = keyring.Fresh(s.keys, crypt.Place("contacts", id, string(Email)), old.email)
	now.wechat, wechat, errs[2] = keyring.Fresh(s.keys, crypt.Place("contacts", id, string(Wechat)), old.wechat)
	if err := errors.Join(errs[:]...); err != nil {
		return old, err
	}
	if phone != "" {
		p, err := cnid.ParsePhone(phone)
		if err != nil {
			return old, fmt.Errorf("%w: what is sealed as the telephone of contact %d is none", crypt.ErrOpen, id)
		}
		now.phoneIndex, now.phone4Index, now.phone8Index = s.keys.Index(indexPhone, p.Key()), s.keys.Index(indexPhone4, cnid.LastFour(p)), s.keys.Index(indexPhone8, cnid.LastEight(p))
	}
	now.emailIndex = s.keys.Index(indexEmail, cnid.EmailKey(email))
	now.wechatIndex = s.keys.Index(indexWechat, strings.ToLower(wechat))
	return now, nil
}

func (s *Service) nextContacts(ctx context.Context, after int64, most int) (b keyring.Batch, err error) {
	rows, err := s.db().Read().Query(ctx, `
		SELECT   id, phone_sealed, phone_index, phone4_index, phone8_index, email_sealed, email_index, wechat_sealed, wechat_index
		FROM     contacts
		WHERE    id > $1
		ORDER BY id LIMIT $2`, after, most)
	if err != nil {
		return b, fmt.Errorf("customer: seal again: %w", err)
	}
	defer rows.Close()
	var values []any
	for rows.Next() {
		var old contactKeys
		if err := scanKeys(rows, &b.Last, &old); err != nil {
			return b, fmt.Errorf("customer: seal again: %w", err)
		}
		b.Rows++
		now, err := s.freshContact(b.Last, old)
		if errors.Is(err, crypt.ErrOpen) {
			b.Lost = append(b.Lost, b.Last)
			continue
		}
		if err != nil {
			return b, fmt.Errorf("customer: seal again: %w", err)
		}
		same := true
		for i, c := range now.columns() {
			same = same && bytes.Equal(*c, *old.columns()[i])
		}
		if same {
			continue
		}
		b.Stale++
		values = append(values, b.Last, old.phone, old.email, old.wechat)
		for _, c := range now.columns() {
			values = append(values, *c)
		}
	}
	b.Write = func(ctx context.Context, tx *db.Tx) error {
		kinds := []string{"BIGINT"}
		for range 11 {
			kinds = append(kinds, keyring.BytesType(tx))
		}
		err := tx.UpdateMany(ctx, `
			UPDATE contacts SET phone_sealed = v.column5, phone_index = v.column6, phone4_index = v.column7, phone8_index = v.column8,
				email_sealed = v.column9, email_index = v.column10, wechat_sealed = v.column11, wechat_index = v.column12`,
			`contacts.id = v.column1 AND contacts.phone_sealed IS NOT DISTINCT FROM v.column2
				AND contacts.email_sealed IS NOT DISTINCT FROM v.column3 AND contacts.wechat_sealed IS NOT DISTINCT FROM v.column4`, kinds, values)
		if err != nil {
			return fmt.Errorf("customer: seal again: %w", err)
		}
		return nil
	}
	return b, rows.Err()
}

func scanKeys(rows db.Rows, id *int64, k *contactKeys) error {
	into := []any{id}
	for _, c := range k.columns() {
		into = append(into, c)
	}
	return rows.Scan(into...)
}

// mergeSteps calls f with each entry of some merges behind after.
func (s *Service) mergeSteps(ctx context.Context, q db.Querier, after int64, most int, f func(merge, seq int64, body string) error) error {
	rows, err := q.Query(ctx, `
		SELECT   merge_id, seq, body FROM customer_merge_steps
		WHERE    merge_id IN (SELECT DISTINCT merge_id FROM customer_merge_steps WHERE merge_id > $1 ORDER BY merge_id LIMIT $2)
		ORDER BY merge_id, seq`, after, most)
	if err != nil {
		return fmt.Errorf("customer: seal merges again: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var merge, seq int64
		var body string
		if err := rows.Scan(&merge, &seq, &body); err != nil {
			return fmt.Errorf("customer: seal merges again: %w", err)
		}
		if err := f(merge, seq, body); err != nil {
			return fmt.Errorf("customer: seal merge %d again: %w", merge, err)
		}
	}
	return rows.Err()
}

// nextMerges looks at the profiles that merges keep; the id of a batch is that of
// the merge.
func (s *Service) nextMerges(ctx context.Context, after int64, most int) (b keyring.Batch, err error) {
	type change struct {
		merge, seq int64
		old, now   string
	}
	var changes []change
	err = s.mergeSteps(ctx, s.db().Read(), after, max(1, most/20), func(merge, seq int64, body string) error {
		b.Last = merge
		b.Rows++
		now, err := s.resealStep(body)
		if errors.Is(err, crypt.ErrOpen) {
			if !slices.Contains(b.Lost, merge) {
				b.Lost = append(b.Lost, merge)
			}
			return nil
		}
		if err == nil && now != body {
			b.Stale++
			changes = append(changes, change{merge, seq, body, now})
		}
		return err
	})
	b.Write = func(ctx context.Context, tx *db.Tx) error {
		for _, c := range changes {
			if _, err := tx.Exec(ctx, `UPDATE customer_merge_steps SET body = $1 WHERE merge_id = $2 AND seq = $3 AND body = $4`, c.now, c.merge, c.seq, c.old); err != nil {
				return fmt.Errorf("customer: seal merge %d again: %w", c.merge, err)
			}
		}
		return nil
	}
	return b, err
}

// staleMerges counts the merges that keep something of an older key: bytes in a
// text, which the engines cannot compare by themselves.
func (s *Service) staleMerges(ctx context.Context, q db.Querier) (n int64, err error) {
	last := int64(0)
	err = s.mergeSteps(ctx, q, 0, 1<<31, func(merge, _ int64, body string) error {
		var st step
		if err := json.Unmarshal([]byte(body), &st); err != nil {
			return err
		}
		for _, c := range []cells{st.Row, st.Before, st.After} {
			for column, v := range c {
				if raw, ok := v.([]byte); ok && strings.HasSuffix(column, "_sealed") && s.keys.Stale(raw) && last != merge {
					n, last = n+1, merge
				}
			}
		}
		return nil
	})
	return n, err
}
