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
// it does not open.
//
// Keys are changed while the program runs. A key set can hold several keys: one
// seals, all open, and values are looked for under the indexes of all. So a new
// key is first announced (everybody can read what it makes), then promoted
// (everybody makes new values with it), and the old one retired when nothing is
// left of it. Package keyring leads through this.
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
	"sync/atomic"

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
// goroutines at once, and takes up new keys while it is used (see
// [Keeper.Refresh]): who seals a value and makes its index seals first, so that a
// value that looks fresh has a fresh index. The zero value is not usable; see
// [LoadOrCreate], [Parse] and [New].
type Keeper struct {
	now  atomic.Pointer[keys]
	file file
}

// keys are what a Keeper knows at a moment; they never change.
type keys struct {
	fields, indexes, links *keyset.Handle

	seal  tink.AEAD
	index *prf.Set
	sign  *prf.Set

	sealPrefix []byte   // what a value sealed by the key in use begins with
	sealIDs    []uint32 // key ids, the one in use first
	indexOrder []uint32
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
	for i, template := range templates() {
		h, err := keyset.NewHandle(template)
		if err != nil {
			return nil, fmt.Errorf("crypt: make keys: %w", err)
		}
		handles[i] = h
	}
	return keeper(handles)
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
	return keeper(handles)
}

// templates of the three sets.
func templates() [3]*tinkpb.KeyTemplate {
	return [3]*tinkpb.KeyTemplate{aead.AES256GCMKeyTemplate(), prf.HMACSHA256PRFKeyTemplate(), prf.HMACSHA256PRFKeyTemplate()}
}

func keeper(h [3]*keyset.Handle) (*Keeper, error) {
	s, err := build(h)
	if err != nil {
		return nil, err
	}
	k := &Keeper{}
	k.now.Store(s)
	return k, nil
}

func build(h [3]*keyset.Handle) (*keys, error) {
	k := &keys{fields: h[0], indexes: h[1], links: h[2]}
	var err error
	if k.seal, err = aead.New(k.fields); err != nil {
		return nil, fmt.Errorf("%w: fields: %v", ErrKeys, err)
	}
	if k.index, err = prf.NewPRFSet(k.indexes); err != nil {
		return nil, fmt.Errorf("%w: indexes: %v", ErrKeys, err)
	}
	if k.sign, err = prf.NewPRFSet(k.links); err != nil {
		return nil, fmt.Errorf("%w: links: %v", ErrKeys, err)
	}
	k.sealPrefix = binary.BigEndian.AppendUint32([]byte{1}, k.fields.KeysetInfo().GetPrimaryKeyId()) // Tink's output prefix
	k.sealIDs, k.indexOrder, k.signOrder = order(k.fields), order(k.indexes), order(k.links)
	return k, nil
}

// order lists the keys of a set: the one in use, then the others from the newest
// to the oldest. Keys are only ever added at the end.
func order(h *keyset.Handle) []uint32 {
	info := h.KeysetInfo()
	ids := []uint32{info.GetPrimaryKeyId()}
	for _, k := range slices.Backward(info.GetKeyInfo()) {
		if k.GetKeyId() != ids[0] {
			ids = append(ids, k.GetKeyId())
		}
	}
	return ids
}

func newest(h *keyset.Handle) uint32 {
	all := h.KeysetInfo().GetKeyInfo()
	return all[len(all)-1].GetKeyId()
}

// text returns the content of the key file.
func (k *Keeper) text() ([]byte, error) {
	var parts [3]json.RawMessage
	for i, h := range k.now.Load().handles() {
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

func (k *keys) handles() [3]*keyset.Handle {
	return [3]*keyset.Handle{k.fields, k.indexes, k.links}
}

// change returns a Keeper whose sets were changed; k stays as it is.
func (k *Keeper) change(do func(set int, h *keyset.Handle, m *keyset.Manager) error) (*Keeper, error) {
	handles := k.now.Load().handles()
	for i, h := range handles {
		m := keyset.NewManagerFromHandle(h)
		err := do(i, h, m)
		if err == nil {
			handles[i], err = m.Handle()
		}
		if err != nil {
			return nil, fmt.Errorf("crypt: change keys: %w", err)
		}
	}
	return keeper(handles)
}

// Announced returns a Keeper with a new key in each set, which opens and finds
// but is not used for anything yet. It is in memory; see [Keeper.Save].
func (k *Keeper) Announced() (*Keeper, error) {
	return k.change(func(set int, _ *keyset.Handle, m *keyset.Manager) error {
		_, err := m.Add(templates()[set])
		return err
	})
}

// Promoted returns a Keeper that uses the newest keys; the older ones open and
// find as before.
func (k *Keeper) Promoted() (*Keeper, error) {
	return k.change(func(_ int, h *keyset.Handle, m *keyset.Manager) error { return m.SetPrimary(newest(h)) })
}

// Retired returns a Keeper that has forgotten every key but the one in use. What
// was sealed with the others is lost with them, so nothing must be left of it.
// Links that were sent cannot be made again: the keys they were signed with stay,
// unless voidLinks says that they shall be void.
func (k *Keeper) Retired(voidLinks bool) (*Keeper, error) {
	return k.change(func(set int, h *keyset.Handle, m *keyset.Manager) error {
		for _, id := range order(h)[1:] {
			if set == 2 && !voidLinks {
				break
			}
			if err := m.Delete(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Pending reports whether the newest key is announced but not in use.
func (k *Keeper) Pending() bool {
	n := k.now.Load()
	return newest(n.fields) != n.sealIDs[0] || newest(n.indexes) != n.indexOrder[0]
}

// Marks names the keys that data can be sealed with, the one in use first,
// without giving anything away. An installation notes in its database which ones
// its data needs and compares at every start: a program that was given another
// key file than the one its data was sealed with must not run.
func (k *Keeper) Marks() []string {
	n := k.now.Load()
	var out []string
	for _, id := range n.indexOrder {
		mac, err := n.index.PRFs[id].ComputePRF([]byte("\x00fingerprint"), 8)
		if err != nil {
			panic(err) // only an output length the key cannot give; 8 is always possible
		}
		out = append(out, hex.EncodeToString(mac))
	}
	return out
}

// Fingerprint is the mark of the key in use.
func (k *Keeper) Fingerprint() string { return k.Marks()[0] }

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
	sealed, err := k.now.Load().seal.Encrypt([]byte(plain), []byte(place))
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
	n := k.now.Load()
	plain, err := n.seal.Decrypt(sealed, []byte(place))
	if err != nil && !n.knows(sealed) {
		// Made by another process with a key that came since.
		if changed, _ := k.Refresh(); changed {
			plain, err = k.now.Load().seal.Decrypt(sealed, []byte(place))
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrOpen, place)
	}
	return string(plain), nil
}

// knows reports whether the key that sealed names is one of ours.
func (k *keys) knows(sealed []byte) bool {
	return len(sealed) >= 5 && sealed[0] == 1 && slices.Contains(k.sealIDs, binary.BigEndian.Uint32(sealed[1:5]))
}

// Stale reports whether sealed was made by a key that is no longer in use and
// should be opened and sealed again.
func (k *Keeper) Stale(sealed []byte) bool {
	return len(sealed) > 0 && !bytes.HasPrefix(sealed, k.now.Load().sealPrefix)
}

// Prefix is what every value begins with that is not stale, for counting them in
// the database.
func (k *Keeper) Prefix() []byte { return bytes.Clone(k.now.Load().sealPrefix) }

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
	n := k.now.Load()
	return compute(n.index, n.indexOrder[0], field, normalized)
}

// Indexes returns the index under every key there is, the one in use first: what
// to look for, because values may be in the middle of being indexed anew. Usually
// it has one element.
func (k *Keeper) Indexes(field, normalized string) [][]byte {
	if normalized == "" {
		return nil
	}
	n := k.now.Load()
	all := make([][]byte, 0, len(n.indexOrder))
	for _, id := range n.indexOrder {
		all = append(all, compute(n.index, id, field, normalized))
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
