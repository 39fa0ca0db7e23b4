package crypt

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of a password: argon2id with 2 passes over 19 MiB on one thread
// (OWASP's first choice), about 20 ms.
const (
	argonTime   = 2
	argonMemory = 19 * 1024 // KiB
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32

	// A stored hash may ask for more than ours, but not for the whole machine.
	argonMostMemory = 256 * 1024
	argonMostTime   = 16
)

// PasswordMax is the longest password in bytes; longer ones are refused rather
// than cut.
const PasswordMax = 1024

var (
	errPasswordTooLong = errors.New("crypt: password too long")
	errHashFormat      = errors.New("crypt: not an argon2id hash")
)

// hashing bounds how many passwords are worked on at once, so that a flood of
// sign-ins takes 19 MiB per core and not per attempt.
var hashing = make(chan struct{}, runtime.NumCPU())

func slot(ctx context.Context) (release func(), err error) {
	select {
	case hashing <- struct{}{}:
		return func() { <-hashing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// HashPassword returns the hash to store, in the PHC format
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash. It waits for its turn while all
// cores are busy hashing, at most until ctx ends.
func HashPassword(ctx context.Context, password string) (string, error) {
	if len(password) > PasswordMax {
		return "", errPasswordTooLong
	}
	release, err := slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey(passwordBytes(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// VerifyPassword reports whether password belongs to hash. With the empty hash,
// that of an account that does not exist or has no password, it works as long
// and says no, so that the time does not tell which accounts exist. An error
// means that ctx ended or that the stored hash is damaged, not that the password
// is wrong.
func VerifyPassword(ctx context.Context, hash, password string) (bool, error) {
	if len(password) > PasswordMax {
		return false, nil
	}
	h := phc{time: argonTime, memory: argonMemory, lanes: argonLanes, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}
	if hash != "" {
		var err error
		if h, err = parsePHC(hash); err != nil {
			return false, err
		}
	}
	release, err := slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	key := argon2.IDKey(passwordBytes(password), h.salt, h.time, h.memory, h.lanes, uint32(len(h.key)))
	same := subtle.ConstantTimeCompare(key, h.key) == 1
	return same && hash != "", nil
}

// PasswordStale reports whether hash was made at another cost than today's and
// should be made again at the next sign-in.
func PasswordStale(hash string) bool {
	h, err := parsePHC(hash)
	return err != nil || h.time != argonTime || h.memory != argonMemory || h.lanes != argonLanes || len(h.key) != argonKey
}

// passwordBytes makes the same bytes of the same password whatever keyboard
// composed its accents (RFC 8265).
func passwordBytes(password string) []byte { return norm.NFC.Bytes([]byte(password)) }

type phc struct {
	time, memory uint32
	lanes        uint8
	salt, key    []byte
}

func parsePHC(s string) (h phc, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHashFormat
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil || n != 3 {
		return h, errHashFormat
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 ||
		h.time < 1 || h.time > argonMostTime || h.memory < 8 || h.memory > argonMostMemory || h.lanes < 1 {
		return h, errHashFormat
	}
	return h, nil
}
