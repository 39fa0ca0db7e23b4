// Package crypt keeps what must not be read by whoever gets hold of the
// database: it encrypts single fields, makes blind indexes by which encrypted
// fields are still found, hashes passwords, and signs links.
//
// All secrets of an installation live in one key file (or one environment
// value). Whoever has database and key file can read everything; the database
// alone, or a backup of it, is useless. So the file is kept apart from the
// database's backups, and it must not be lost: without it the encrypted fields
// are gone. There is no master key above the file on purpose. It would have to
// lie on the same machine, for the program to start by itself, and add a second
// thing to lose without a second lock.
//
// A sealed value is bound to its place ([Place]): copied to another row or field
// it does not open. Key sets can hold several keys; the newest seals, all open,
// so a key can be changed while old values are sealed again bit by bit.
package crypt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

var (
	// ErrKeys says that a key file or value cannot be used.
	ErrKeys = errors.New("crypt: unusable keys")
	// ErrOpen says that a sealed value was made with other keys, for another
	// place, or was tampered with.
	ErrOpen = errors.New("crypt: cannot open sealed value")
)

// IndexSize is the length in bytes of a blind index.
const IndexSize = 16

// Keeper holds the keys of an installation. It is safe for use by many
// goroutines at once. The zero value is not usable; see [LoadOrCreate], [Parse]
// and [New].
type Keeper struct {
	fields, indexes, links *keyset.Handle

	seal  tink.AEAD
	index *prf.Set
	sign  *prf.Set

	sealPrefix []byte   // what a value sealed by the newest key begins with
	indexOrder []uint32 // key ids, the newest first
	signOrder  []uint32
}

// document is the key file. Each set is a Tink key set in JSON.
type document struct {
	Notice  string          `json:"notice"`
	Version int             `json:"version"`
	Fields  json.RawMessage `json:"fields"`  // AES-256-GCM, seals fields
	Indexes json.RawMessage `json:"indexes"` // HMAC-SHA256, blind indexes
	Links   json.RawMessage `json:"links"`   // HMAC-SHA256, signed links
}

const notice = "The keys of Bihuan. Keep a copy apart from the database and its backups; without it encrypted fields cannot be read. " +
	"闭环客服的密钥文件：请与数据库及其备份分开保管一份副本；遗失后，加密字段将无法读取。"

// New makes a Keeper with fresh keys that exist in memory only.
func New() (*Keeper, error) {
	var handles [3]*keyset.Handle
	for i, template := range []*tinkpb.KeyTemplate{aead.AES256GCMKeyTemplate(), prf.HMACSHA256PRFKeyTemplate(), prf.HMACSHA256PRFKeyTemplate()} {
		h, err := keyset.NewHandle(template)
		if err != nil {
			return nil, fmt.Errorf("crypt: make keys: %w", err)
		}
		handles[i] = h
	}
	return build(handles[0], handles[1], handles[2])
}

// Parse reads keys from the text of a key file, or from the same text in base64,
// as it is put into an environment variable.
func Parse(text string) (*Keeper, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, fmt.Errorf("%w: neither a key file nor its base64", ErrKeys)
		}
		text = string(raw)
	}
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("%w: not a complete key file", ErrKeys) // the cause could quote a key
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("%w: version %d is not known to this program", ErrKeys, d.Version)
	}
	var handles [3]*keyset.Handle
	for i, part := range []json.RawMessage{d.Fields, d.Indexes, d.Links} {
		h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(part)))
		if err != nil {
			return nil, fmt.Errorf("%w: key set %d is damaged", ErrKeys, i+1)
		}
		handles[i] = h
	}
	return build(handles[0], handles[1], handles[2])
}

func build(fields, indexes, links *keyset.Handle) (*Keeper, error) {
	k := &Keeper{fields: fields, indexes: indexes, links: links}
	var err error
	if k.seal, err = aead.New(fields); err != nil {
		return nil, fmt.Errorf("%w: fields: %v", ErrKeys, err)
	}
	if k.index, err = prf.NewPRFSet(indexes); err != nil {
		return nil, fmt.Errorf("%w: indexes: %v", ErrKeys, err)
	}
	if k.sign, err = prf.NewPRFSet(links); err != nil {
		return nil, fmt.Errorf("%w: links: %v", ErrKeys, err)
	}
	k.sealPrefix = binary.BigEndian.AppendUint32([]byte{1}, fields.KeysetInfo().GetPrimaryKeyId()) // Tink's output prefix
	k.indexOrder, k.signOrder = newestFirst(k.index), newestFirst(k.sign)
	return k, nil
}

func newestFirst(s *prf.Set) []uint32 {
	ids := []uint32{s.PrimaryID}
	for id := range s.PRFs {
		if id != s.PrimaryID {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids[1:])
	return ids
}

// text returns the content of the key file.
func (k *Keeper) text() ([]byte, error) {
	var parts [3]json.RawMessage
	for i, h := range []*keyset.Handle{k.fields, k.indexes, k.links} {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
			return nil, fmt.Errorf("crypt: write keys: %w", err)
		}
		parts[i] = b.Bytes()
	}
	out, err := json.MarshalIndent(document{Notice: notice, Version: 1, Fields: parts[0], Indexes: parts[1], Links: parts[2]}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("crypt: write keys: %w", err)
	}
	return append(out, '\n'), nil
}

// Rotated returns a Keeper that seals with a new key and still opens what k
// sealed. Index and link keys stay: a new index key would mean indexing every
// value again. The result is in memory; see [RotateFile].
func (k *Keeper) Rotated() (*Keeper, error) {
	m := keyset.NewManagerFromHandle(k.fields)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("crypt: rotate: %w", err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("crypt: rotate: %w", err)
	}
	return build(h, k.indexes, k.links)
}

// Fingerprint names the index key without giving anything away. An installation
// notes it in its database and compares it at every start: a program that was
// given another key file than the one its data was sealed with must not run. It
// does not change when the sealing key is rotated.
func (k *Keeper) Fingerprint() string {
	mac, err := k.index.ComputePrimaryPRF([]byte("\x00fingerprint"), 8)
	if err != nil {
		panic(err) // only an output length the key cannot give; 8 is always possible
	}
	return hex.EncodeToString(mac)
}

// Place says where a sealed value belongs: table, id of the record, field. A
// value with another place does not open.
func Place(table string, id int64, field string) string {
	return table + "/" + strconv.FormatInt(id, 10) + "/" + field
}

// Seal encrypts plain for the given place. The empty string seals to nothing,
// because whether a field is filled in is no secret and nullable columns stay
// readable.
func (k *Keeper) Seal(place, plain string) ([]byte, error) {
	if plain == "" {
		return nil, nil
	}
	sealed, err := k.seal.Encrypt([]byte(plain), []byte(place))
	if err != nil {
		return nil, fmt.Errorf("crypt: seal %s: %w", place, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place; nothing opens to the empty
// string. The error is ErrOpen and names the place, never the value.
func (k *Keeper) Open(place string, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	plain, err := k.seal.Decrypt(sealed, []byte(place))
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrOpen, place)
	}
	return string(plain), nil
}

// Stale reports whether sealed was made by a key that is no longer the newest
// and should be opened and sealed again.
func (k *Keeper) Stale(sealed []byte) bool {
	return len(sealed) > 0 && !bytes.HasPrefix(sealed, k.sealPrefix)
}

// Index returns the blind index of a normalised value of a field: equal values
// have equal indexes, and nothing else can be learned without the key. field
// keeps the same value in two fields apart ("customer.phone",
// "customer.phone.last4"). The empty value has no index (nil), so that empty
// fields are not found as duplicates of each other.
//
// An index of few possible values (four digits) is guessed by whoever may ask
// for indexes; so store it, never show it.
func (k *Keeper) Index(field, normalized string) []byte {
	if normalized == "" {
		return nil
	}
	return compute(k.index, k.indexOrder[0], field, normalized)
}

// Indexes returns the index under every key that is still in use, the newest
// first: what to look for while values are being indexed anew. Usually it has
// one element.
func (k *Keeper) Indexes(field, normalized string) [][]byte {
	if normalized == "" {
		return nil
	}
	all := make([][]byte, 0, len(k.indexOrder))
	for _, id := range k.indexOrder {
		all = append(all, compute(k.index, id, field, normalized))
	}
	return all
}

// compute is HMAC-SHA256 over the parts, each preceded by its length so that no
// two lists of parts are the same bytes, cut to 16 bytes.
func compute(set *prf.Set, id uint32, parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 4
	}
	in := make([]byte, 0, n)
	for _, p := range parts {
		in = binary.BigEndian.AppendUint32(in, uint32(len(p)))
		in = append(in, p...)
	}
	out, err := set.PRFs[id].ComputePRF(in, IndexSize)
	if err != nil {
		panic(err) // only an output longer than sha256.Size
	}
	return out
}

var _ = [sha256.Size - IndexSize]struct{}{} // IndexSize fits the hash
