// Package push sends messages to browsers that are not open here (Web Push, RFC
// 8030), encrypted for the one browser that asked for them (RFC 8291: the push
// service carries what it cannot read) and signed with the key this product was
// announced with (VAPID, RFC 8292). It is written here and not taken from a
// library: the standard library has all the parts, and it is a page.
//
// A message has a topic, so that the service replaces one it has not delivered yet,
// and a tag, by which the browser replaces one it has shown: sent twice, it is seen
// once.
package push

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/outbound"
)

var b64 = base64.RawURLEncoding

// Keys are the product's own: browsers take messages signed with them only.
type Keys struct {
	private *ecdsa.PrivateKey
	Public  string // as browsers want it: base64url of the point
}

// NewKeys makes keys; text is what ParseKeys reads.
func NewKeys() (text string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("push: make keys: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", fmt.Errorf("push: make keys: %w", err)
	}
	return b64.EncodeToString(der), nil
}

// ParseKeys reads what NewKeys made.
func ParseKeys(text string) (Keys, error) {
	der, err := b64.DecodeString(text)
	if err != nil {
		return Keys{}, errors.New("push: unusable keys")
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	k, ok := any.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return Keys{}, errors.New("push: unusable keys")
	}
	pub, err := k.PublicKey.ECDH()
	if err != nil {
		return Keys{}, fmt.Errorf("push: keys: %w", err)
	}
	return Keys{k, b64.EncodeToString(pub.Bytes())}, nil
}

// Subscription is a browser, as it describes itself.
type Subscription struct {
	Endpoint string `json:"endpoint"`
	P256dh   string `json:"p256dh"`
	Auth     string `json:"auth"`
}

// Check complains about what is no subscription.
func (s Subscription) Check() error {
	_, _, err := s.keys()
	if err != nil {
		return err
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || len(s.Endpoint) > 1000 {
		return errors.New("push: no endpoint")
	}
	return nil
}

func (s Subscription) keys() (*ecdh.PublicKey, []byte, error) {
	raw, err := b64.DecodeString(strings.TrimRight(s.P256dh, "="))
	if err != nil {
		return nil, nil, errors.New("push: bad key")
	}
	pub, err := ecdh.P256().NewPublicKey(raw)
	if err != nil {
		return nil, nil, errors.New("push: bad key")
	}
	auth, err := b64.DecodeString(strings.TrimRight(s.Auth, "="))
	if err != nil || len(auth) != 16 {
		return nil, nil, errors.New("push: bad secret")
	}
	return pub, auth, nil
}

// recordSize is one record: messages are small.
const recordSize = 4096

// Most is how many bytes a message may have.
const Most = 3000

// seal encrypts plain for s (RFC 8291, aes128gcm of RFC 8188).
func seal(s Subscription, plain, salt []byte, own *ecdh.PrivateKey) ([]byte, error) {
	ua, auth, err := s.keys()
	if err != nil {
		return nil, err
	}
	shared, err := own.ECDH(ua)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	info := "WebPush: info\x00" + string(ua.Bytes()) + string(own.PublicKey().Bytes())
	ikm, err := hkdf.Key(sha256.New, shared, auth, info, 32)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	pub := own.PublicKey().Bytes()
	out := append([]byte(nil), salt...)
	out = binary.BigEndian.AppendUint32(out, recordSize)
	out = append(out, byte(len(pub)))
	out = append(out, pub...)
	return gcm.Seal(out, nonce, append(append([]byte(nil), plain...), 2), nil), nil // 2 ends the last record
}

// vapid is the Authorization for an endpoint: a JWT that names whom the service may
// ask when something goes wrong.
func (k Keys) vapid(endpoint, contact string, now time.Time) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	head := b64.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`))
	claims, err := json.Marshal(map[string]any{"aud": u.Scheme + "://" + u.Host, "exp": now.Add(12 * time.Hour).Unix(), "sub": contact})
	if err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	text := head + "." + b64.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", fmt.Errorf("push: sign: %w", err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return "vapid t=" + text + "." + b64.EncodeToString(sig) + ", k=" + k.Public, nil
}

// Service sends.
type Service struct {
	Keys    Keys
	Contact string // mailto: or https: address
	Net     outbound.Net
	Allow   outbound.Allow
}

// Payload is what the service worker gets.
type Payload struct {
	Title  string `json:"title"`
	Body   string `json:"body,omitempty"`
	URL    string `json:"url,omitempty"` // a path of this product
	Tag    string `json:"tag"`
	Urgent bool   `json:"urgent,omitempty"`
	Lang   string `json:"lang"`
}

// ErrGone says that the browser does not take messages any more: forget it.
var ErrGone = errors.New("push: the browser takes no messages any more")

// Send hands p over for one browser. Its errors are Fails; one that wraps ErrGone
// means that the subscription is void.
func (s Service) Send(ctx context.Context, to Subscription, p Payload, now time.Time) (string, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return "", outbound.Failed(outbound.Later, "", err)
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	p.Title, p.Body = outbound.Cut(p.Title, 300), outbound.Cut(p.Body, Most-800)
	body, err := seal(to, outbound.JSON(p), salt, own)
	if err != nil {
		return "", outbound.Failed(outbound.Address, "", err)
	}
	auth, err := s.Keys.vapid(to.Endpoint, s.Contact, now)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	topic := sha256.Sum256([]byte(p.Tag))
	h := http.Header{"Authorization": {auth}, "Content-Type": {"application/octet-stream"}, "Content-Encoding": {"aes128gcm"}, "Ttl": {strconv.Itoa(int((12 * time.Hour).Seconds()))}, "Topic": {b64.EncodeToString(topic[:])[:32]}, "Urgency": {"normal"}}
	if p.Urgent {
		h.Set("Urgency", "high")
	}
	a, err := s.Net.Post(ctx, to.Endpoint, s.Allow, h, body)
	if err != nil {
		return a.Line(), err
	}
	switch a.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusUnauthorized:
		// 401 and 403: it was made for other keys than ours are now.
		return a.Line(), outbound.Failed(outbound.Address, a.Line(), ErrGone)
	case http.StatusRequestEntityTooLarge, http.StatusBadRequest:
		return a.Line(), outbound.Failed(outbound.Refused, a.Line(), nil)
	}
	return a.Line(), a.Judge()
}
