package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"bihuan/internal/db"
)

// Brief is what a ticket copies of its customer.
type Brief struct {
	ID        int64
	Name      string
	Level     Level
	OwnerID   int64 // 0: nobody
	ContactID int64 // whom to talk to; 0: nobody is named
	Reachable bool  // he has a telephone number, an e-mail address or WeChat
}

// Brief returns the customer with the named contact (0: the primary one);
// NotFound when there is none, or the contact is somebody else's. The caller
// has checked the scope.
func (s *Service) Brief(ctx context.Context, q db.Querier, id, contact int64) (b Brief, err error) {
	var reachable int
	err = q.QueryRow(ctx, `
		SELECT c.id, c.name, c.level, c.owner_id, COALESCE(p.id, 0),
		       CASE WHEN p.phone_sealed IS NOT NULL OR p.email_sealed IS NOT NULL OR p.wechat_sealed IS NOT NULL THEN 1 ELSE 0 END
		FROM   customers c LEFT JOIN contacts p ON p.customer_id = c.id AND p.active = 1 AND (p.id = $1 OR $2 = 0)
		WHERE  c.id = $3
		ORDER BY p.is_primary DESC, p.id
		LIMIT  1`, contact, contact, id).Scan(&b.ID, &b.Name, (*string)(&b.Level), &b.OwnerID, &b.ContactID, &reachable)
	if errors.Is(err, sql.ErrNoRows) || err == nil && contact != 0 && b.ContactID != contact {
		return Brief{}, notFound()
	}
	if err != nil {
		return Brief{}, fmt.Errorf("customer: brief %d: %w", id, err)
	}
	b.Reachable = reachable == 1
	return b, nil
}
