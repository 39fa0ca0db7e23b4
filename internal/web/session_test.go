package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// accounts counts how often it is asked; left users may no longer sign in.
type accounts struct {
	asked int
	left  map[int64]bool
}

func (a *accounts) Actor(_ context.Context, id int64) (authz.Actor, error) {
	a.asked++
	if a.left[id] {
		return authz.Actor{}, fault.New(fault.NotFound, "ui.error.not_found")
	}
	return authz.Actor{Kind: authz.User, ID: id, Name: "林晓雯", Lang: i18n.ZhCN}, nil
}

func addUsers(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO departments (name, created_at) VALUES ('客服一组', $1)`, tx.NowMicros()); err != nil {
			return err
		}
		for _, login := range []string{"lin", "he"} {
			if _, err := tx.Exec(ctx, `INSERT INTO users (login, name, department_id, created_at) SELECT $1, $1 || ' ', MIN(id), $2 FROM departments`, login, tx.NowMicros()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		addUsers(t, d)
		acc := &accounts{left: map[int64]bool{}}
		s := NewSessions(d, acc, SessionConfig{Clock: c})
		signIn := func(user int64, cookie *http.Cookie) *http.Cookie {
			t.Helper()
			hr := httptest.NewRequest("POST", "/sign-in", nil)
			hr.Header.Set("User-Agent", "测试\xff")
			if cookie != nil {
				hr.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			if err := s.Start(w, NewRequest(hr.WithContext(t.Context()), authz.Actor{}, i18n.ZhCN), user); err != nil {
				t.Fatal(err)
			}
			k := w.Result().Cookies()[0]
			if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Secure || k.Name != SessionCookie || len(k.Value) < 40 {
				t.Errorf("cookie %+v", k)
			}
			return k
		}
		who := func(k *http.Cookie) int64 {
			t.Helper()
			hr := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
			hr.AddCookie(k)
			a, ok, err := s.Authenticate(hr)
			if err != nil {
				t.Fatal(err)
			}
			if ok != (a.Kind == authz.User) {
				t.Errorf("ok %v, actor %+v", ok, a)
			}
			return a.ID
		}
		lin := signIn(1, nil)
		if who(lin) != 1 || who(&http.Cookie{Name: SessionCookie, Value: "x"}) != 0 {
			t.Error("who is signed in")
		}
		asked := acc.asked
		who(lin)
		if acc.asked != asked {
			t.Error("not taken from the cache")
		}
		c.Advance(sessionTrust)
		if who(lin); acc.asked != asked+1 {
			t.Error("believed for too long")
		}
		var hash []byte
		if err := d.Read().QueryRow(t.Context(), `SELECT token_hash FROM user_sessions`).Scan(&hash); err != nil || strings.Contains(string(hash), lin.Value) || len(hash) != 32 {
			t.Errorf("stored %x: %v", hash, err)
		}

		phone := signIn(1, nil)
		list, err := s.List(t.Context(), 1)
		if err != nil || len(list) != 2 {
			t.Fatalf("list %v: %v", list, err)
		}
		he := signIn(2, nil)
		if err := s.Revoke(t.Context(), 2, list[0].ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("someone else's session: %v", err)
		}
		if err := s.Revoke(t.Context(), 1, list[0].ID); err != nil {
			t.Fatal(err)
		}
		if a, b := who(lin), who(phone); a+b != 1 {
			t.Errorf("after revoking one: %d %d", a, b)
		}
		lin = signIn(1, nil)
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return s.RevokeAll(ctx, tx, 1, 0) })
		if err != nil || who(lin) != 0 || who(he) != 2 {
			t.Errorf("revoke all: %v", err)
		}

		acc.left[2] = true
		s.Forget(2)
		if who(he) != 0 {
			t.Error("a person who has left is still signed in")
		}
		acc.left[2] = false

		// idle: used every eleven hours it lives, but not beyond a week
		he = signIn(2, he)
		for i := range 15 {
			c.Advance(11 * time.Hour)
			if who(he) != 2 {
				t.Fatalf("gone after %d h", 11*(i+1))
			}
		}
		c.Advance(4 * time.Hour)
		if who(he) != 0 {
			t.Error("older than a week")
		}
		he = signIn(2, nil)
		c.Advance(12 * time.Hour)
		if who(he) != 0 {
			t.Error("idle for twelve hours")
		}
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := d.Read().QueryRow(t.Context(), `SELECT COUNT(*) FROM user_sessions`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows left: %v", n, err)
		}

		he = signIn(2, nil)
		hr := httptest.NewRequest("POST", "/sign-out", nil).WithContext(t.Context())
		hr.AddCookie(he)
		w := httptest.NewRecorder()
		if err := s.End(w, NewRequest(hr, authz.Actor{}, i18n.ZhCN)); err != nil || w.Result().Cookies()[0].MaxAge >= 0 || who(he) != 0 {
			t.Errorf("sign out: %v", err)
		}
	})
}
