package crypt

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func fresh(t testing.TB) *Keeper {
	t.Helper()
	k, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeal(t *testing.T) {
	t.Parallel()
	k := fresh(t)
	place := Place("customers", 7, "phone")
	if place != "customers/7/phone" {
		t.Error(place)
	}
	for _, plain := range []string{"", "13812345678", "𠮷野家", strings.Repeat("长", 5000)} {
		sealed, err := k.Seal(place, plain)
		if err != nil {
			t.Fatal(err)
		}
		if plain != "" && bytes.Contains(sealed, []byte(plain)) || (plain == "") != (sealed == nil) {
			t.Errorf("%.10q sealed as %q", plain, sealed)
		}
		if got, err := k.Open(place, sealed); got != plain || err != nil {
			t.Errorf("%.10q opens as %.10q, %v", plain, got, err)
		}
	}
	sealed, _ := k.Seal(place, "13812345678")
	again, _ := k.Seal(place, "13812345678")
	if bytes.Equal(sealed, again) {
		t.Error("the same value is sealed alike twice")
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, f := range map[string]func() (string, error){
		"other record": func() (string, error) { return k.Open(Place("customers", 8, "phone"), sealed) },
		"other field":  func() (string, error) { return k.Open(Place("customers", 7, "email"), sealed) },
		"tampered":     func() (string, error) { return k.Open(place, flipped) },
		"cut":          func() (string, error) { return k.Open(place, sealed[:3]) },
		"other keys":   func() (string, error) { return fresh(t).Open(place, sealed) },
	} {
		if got, err := f(); !errors.Is(err, ErrOpen) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	k := fresh(t)
	a := k.Index("customer.phone", "+8613812345678")
	if len(a) != IndexSize || !bytes.Equal(a, k.Index("customer.phone", "+8613812345678")) {
		t.Errorf("index %x", a)
	}
	for name, b := range map[string][]byte{
		"other value": k.Index("customer.phone", "+8613812345679"),
		"other field": k.Index("contact.phone", "+8613812345678"),
		"shifted":     k.Index("customer.phone+", "8613812345678"),
		"other keys":  fresh(t).Index("customer.phone", "+8613812345678"),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s has the same index", name)
		}
	}
	if k.Index("customer.phone", "") != nil || k.Indexes("customer.phone", "") != nil {
		t.Error("the empty value has an index")
	}
	if all := k.Indexes("customer.phone", "+8613812345678"); len(all) != 1 || !bytes.Equal(all[0], a) {
		t.Errorf("indexes %x", all)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "bihuan.keys")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	var wg sync.WaitGroup // two programs starting together
	prints, made := make([]string, 4), make([]bool, 4)
	for i := range prints {
		wg.Go(func() {
			k, created, err := LoadOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i], made[i] = k.Fingerprint(), created
		})
	}
	wg.Wait()
	created := 0
	for i := range prints {
		if prints[i] != prints[0] || prints[i] == "" {
			t.Errorf("different keys: %q", prints)
		}
		if made[i] {
			created++
		}
	}
	if created != 1 {
		t.Errorf("created %d times", created)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keys-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	k, _, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := k.Seal("p", "v")
	if k.Stale(old) || k.Stale(nil) {
		t.Error("fresh value is stale")
	}
	index, link := k.Index("f", "v"), k.Sign("p", "x")
	running, err := Load(path) // another process
	if err != nil {
		t.Fatal(err)
	}
	step := func(change func(*Keeper) (*Keeper, error)) {
		t.Helper()
		next, err := change(k)
		if err == nil {
			err = next.Save(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*Keeper{k, running} {
			if changed, err := p.Refresh(); !changed || err != nil {
				t.Fatalf("changed %v, %v", changed, err)
			}
			if changed, err := p.Refresh(); changed || err != nil {
				t.Fatalf("again: changed %v, %v", changed, err)
			}
		}
	}
	both := func(what string, pending bool, use int, find ...[]byte) {
		t.Helper()
		for _, k := range []*Keeper{k, running} {
			if k.Pending() != pending {
				t.Errorf("%s: pending is %v", what, k.Pending())
			}
			if !slices.ContainsFunc(k.Indexes("f", "v"), func(b []byte) bool { return bytes.Equal(b, k.Index("f", "v")) }) || len(k.Indexes("f", "v")) != len(find) {
				t.Errorf("%s: %d indexes", what, len(k.Indexes("f", "v")))
			}
			for _, x := range find {
				if x != nil && !slices.ContainsFunc(k.Indexes("f", "v"), func(b []byte) bool { return bytes.Equal(b, x) }) {
					t.Errorf("%s: an index is not looked for", what)
				}
			}
			if len(k.Codes("c", "v")) < use {
				t.Errorf("%s: %d codes", what, len(k.Codes("c", "v")))
			}
			if _, err := k.Verify("p", link); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	both("before", false, 1, index)
	step((*Keeper).Announced)
	both("announced", true, 2, index, nil)
	if k.Stale(old) || !bytes.Equal(k.Index("f", "v"), index) || k.Fingerprint() != prints[0] {
		t.Error("a key in waiting is used")
	}
	step((*Keeper).Promoted)
	both("promoted", false, 2, index, nil)
	if got, err := k.Open("p", old); got != "v" || err != nil || !k.Stale(old) || k.Fingerprint() == prints[0] || k.Marks()[1] != prints[0] {
		t.Errorf("old value after the change: %q, %v, %v", got, err, k.Marks())
	}
	fresh, _ := k.Seal("p", "v")
	if k.Stale(fresh) || !bytes.HasPrefix(fresh, k.Prefix()) || bytes.Equal(k.Index("f", "v"), index) {
		t.Error("the old key is used")
	}
	step(func(k *Keeper) (*Keeper, error) { return k.Retired(false) })
	both("retired", false, 2, k.Index("f", "v"))
	if _, err := k.Open("p", old); !errors.Is(err, ErrOpen) {
		t.Errorf("the old key is still there: %v", err)
	}
	if void, err := k.Retired(true); err != nil || len(void.Codes("c", "v")) != 1 {
		t.Errorf("links: %v", err)
	} else if _, err := void.Verify("p", link); !errors.Is(err, ErrSignature) {
		t.Error("void links are good")
	}

	// A value of a key that this process has not heard of yet makes it look.
	late, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*Keeper) (*Keeper, error){(*Keeper).Announced, (*Keeper).Promoted} {
		step(change)
	}
	fresh, _ = k.Seal("p", "new")
	if got, err := late.Open("p", fresh); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	// Foreign or damaged files change nothing.
	for name, content := range map[string]string{"foreign": "", "damaged": "{"} {
		var err error
		if content == "" {
			other, _ := New()
			err = other.Save(path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := late.Refresh(); changed || !errors.Is(err, ErrKeys) {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		if got, err := late.Open("p", fresh); got != "new" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	prints[0] = k.Fingerprint()
	raw, _ := os.ReadFile(path)
	for name, text := range map[string]string{"file text": string(raw), "base64": base64.StdEncoding.EncodeToString(raw), "wrapped base64": base64.StdEncoding.EncodeToString(raw)[:76] + "\n" + base64.StdEncoding.EncodeToString(raw)[76:]} {
		k, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if k.Fingerprint() != prints[0] {
			t.Errorf("%s: other keys", name)
		}
	}
	for name, text := range map[string]string{"empty": "", "junk": "hello!", "cut": string(raw[:len(raw)/2]), "no keys": `{"version":1}`, "version": `{"version":2}`} {
		if _, err := Parse(text); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadOrCreate(path); !errors.Is(err, ErrKeys) {
			t.Errorf("world-readable: %v", err)
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	hash, err := HashPassword(ctx, "正确的密码é")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || PasswordStale(hash) {
		t.Error(hash)
	}
	for _, c := range []struct {
		name, hash, password string
		want, fails          bool
	}{
		{name: "right", hash: hash, password: "正确的密码é", want: true},
		{name: "other keyboard", hash: hash, password: "正确的密码e\u0301", want: true},
		{name: "wrong", hash: hash, password: "错误的密码"},
		{name: "empty", hash: hash, password: ""},
		{name: "nobody", hash: "", password: "x"},
		{name: "nobody, empty", hash: "", password: ""},
		{name: "endless", hash: hash, password: strings.Repeat("x", PasswordMax+1)},
		{name: "reference, other cost", hash: "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", password: "password", want: true},
		{name: "greedy", hash: "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", password: "password", fails: true},
		{name: "bcrypt", hash: "$2a$10$abc", password: "x", fails: true},
	} {
		ok, err := VerifyPassword(ctx, c.hash, c.password)
		if ok != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
	}
	if !PasswordStale("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc") {
		t.Error("other cost is not stale")
	}
	if again, _ := HashPassword(ctx, "正确的密码é"); again == hash {
		t.Error("no salt")
	}
	if _, err := HashPassword(ctx, strings.Repeat("x", PasswordMax+1)); err == nil {
		t.Error("endless password hashed")
	}
}

// Not parallel: it fills the slots all hashing shares.
func TestPasswordWaitsItsTurn(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HashPassword(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := VerifyPassword(ctx, "", "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	k := fresh(t)
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, payload := range []string{"", "42", "工单/42"} {
		token := k.Sign("survey", payload)
		if got, err := k.Verify("survey", token); got != payload || err != nil {
			t.Errorf("%q: %q, %v", payload, got, err)
		}
		timed := k.SignUntil("survey", payload, now)
		if got, err := k.VerifyAt("survey", timed, now); got != payload || err != nil {
			t.Errorf("%q: %q, %v", payload, got, err)
		}
		if _, err := k.VerifyAt("survey", timed, now.Add(time.Second)); !errors.Is(err, ErrExpired) {
			t.Errorf("%q: %v", payload, err)
		}
		for name, bad := range map[string]string{
			"cut": token[:len(token)-1], "longer": token + "A", "no dot": strings.ReplaceAll(token, ".", ""), "empty": "", "dot": ".",
			"newline": token + "\n", "timed": timed, "other payload": k.Sign("survey", "43")[:2] + token[2:],
		} {
			if _, err := k.Verify("survey", bad); bad != token && !errors.Is(err, ErrSignature) {
				t.Errorf("%q %s: %v", payload, name, err)
			}
		}
		if _, err := k.Verify("download", token); !errors.Is(err, ErrSignature) {
			t.Errorf("other purpose: %v", err)
		}
		if _, err := k.VerifyAt("survey", token, now); !errors.Is(err, ErrSignature) {
			t.Errorf("timeless token taken for a timed one: %v", err)
		}
		if _, err := fresh(t).Verify("survey", token); !errors.Is(err, ErrSignature) {
			t.Errorf("other keys: %v", err)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		p, tok := GeneratePassword(), Token(16)
		if len(p) != 14 || strings.ContainsAny(p, "0Oo1lI") || seen[p] || seen[tok] || len(tok) != 22 {
			t.Errorf("%q, %q", p, tok)
		}
		seen[p], seen[tok] = true, true
	}
}

func BenchmarkSeal(b *testing.B) {
	k := fresh(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal("customers/7/phone", "13812345678"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := fresh(b)
	sealed, _ := k.Seal("customers/7/phone", "13812345678")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open("customers/7/phone", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	k := fresh(b)
	b.ReportAllocs()
	for b.Loop() {
		k.Index("customer.phone", "+8613812345678")
	}
}

func BenchmarkHashPassword(b *testing.B) {
	for b.Loop() {
		if _, err := HashPassword(b.Context(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}
