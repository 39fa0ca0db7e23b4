// Package pushtest is a push service with browsers on this machine for tests: it
// checks who signed, and decrypts as a browser would.
package pushtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// Message is what a browser has got.
type Message struct {
	Plain                    []byte
	Urgency, Topic, TTL, Sub string
}

// Browser is one that has subscribed.
type Browser struct {
	Endpoint, P256dh, Auth string

	key  *ecdh.PrivateKey
	auth []byte
	got  []Message
	gone bool
}

// Server is the push service.
type Server struct {
	url      string
	key      string // of the application, as it announced itself
	now      func() time.Time
	mu       sync.Mutex
	browsers map[string]*Browser
	status   int
}

// New starts a service for an application with the public key key.
func New(t testing.TB, key string, now func() time.Time) *Server {
	t.Helper()
	s := &Server{key: key, now: now, browsers: map[string]*Browser{}}
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

// Subscribe makes a browser.
func (s *Server) Subscribe() *Browser {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	b := &Browser{key: k, auth: make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	path := fmt.Sprintf("/wpush/v2/%d", len(s.browsers)+1)
	b.Endpoint, b.P256dh, b.Auth = s.url+path, b64.EncodeToString(k.PublicKey().Bytes()), b64.EncodeToString(b.auth)
	s.browsers[path] = b
	return b
}

// Got returns what the browser has got.
func (s *Server) Got(b *Browser) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), b.got...)
}

// Drop lets the browser unsubscribe; Answer lets the service answer with a status.
func (s *Server) Drop(b *Browser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.gone = true
}

// Answer lets the service answer with a status; 0 mends it.
func (s *Server) Answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	b := s.browsers[r.URL.Path]
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		return
	case b == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	case b.gone:
		w.WriteHeader(http.StatusGone)
		return
	case r.Header.Get("TTL") == "" || r.Header.Get("Content-Encoding") != "aes128gcm":
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	sub, err := s.check(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	plain, err := Open(b.key, b.auth, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.got = append(b.got, Message{plain, r.Header.Get("Urgency"), r.Header.Get("Topic"), r.Header.Get("TTL"), sub})
	w.WriteHeader(http.StatusCreated)
}

// check is what RFC 8292 asks of the service.
func (s *Server) check(r *http.Request) (sub string, err error) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "vapid ")
	t, k := "", ""
	for _, p := range strings.Split(rest, ",") {
		p = strings.TrimSpace(p)
		if v, is := strings.CutPrefix(p, "t="); is {
			t = v
		}
		if v, is := strings.CutPrefix(p, "k="); is {
			k = v
		}
	}
	parts := strings.Split(t, ".")
	if !ok || len(parts) != 3 || k != s.key {
		return "", errors.New("not the key of the application")
	}
	raw, _ := b64.DecodeString(k)
	sig, _ := b64.DecodeString(parts[2])
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil || len(sig) != 64 {
		return "", errors.New("bad key or signature")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return "", errors.New("bad signature")
	}
	var c struct {
		Aud, Sub string
		Exp      int64
	}
	claims, _ := b64.DecodeString(parts[1])
	if json.Unmarshal(claims, &c) != nil || c.Aud != "http://"+r.Host {
		return "", errors.New("for another service")
	}
	if now := s.now().Unix(); c.Exp <= now || c.Exp > now+24*3600 {
		return "", errors.New("expired, or valid for too long")
	}
	if !strings.HasPrefix(c.Sub, "mailto:") && !strings.HasPrefix(c.Sub, "https:") {
		return "", errors.New("nobody to ask")
	}
	return c.Sub, nil
}

// Open decrypts as a browser does (RFC 8291).
func Open(key *ecdh.PrivateKey, auth, body []byte) ([]byte, error) {
	if len(body) < 86 || body[20] != 65 || binary.BigEndian.Uint32(body[16:20]) < 18 {
		return nil, errors.New("bad header")
	}
	salt, as := body[:16], body[21:86]
	pub, err := ecdh.P256().NewPublicKey(as)
	if err != nil {
		return nil, err
	}
	shared, err := key.ECDH(pub)
	if err != nil {
		return nil, err
	}
	ikm, _ := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(key.PublicKey().Bytes())+string(as), 32)
	cek, _ := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, _ := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nonce, body[86:], nil)
	if err != nil {
		return nil, err
	}
	end := strings.LastIndexByte(string(plain), 2)
	if end < 0 {
		return nil, errors.New("no end of the record")
	}
	return plain[:end], nil
}
