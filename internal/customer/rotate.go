package customer

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
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

func scanKeys(rows *sql.Rows, id *int64, k *contactKeys) error {
	into := []any{id}
	for _, c := range k.columns() {
		into = append(into, c)
	}
	return rows.Scan(into...)
}
