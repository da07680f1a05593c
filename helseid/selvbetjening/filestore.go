package selvbetjening

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrKeyStore is wrapped by the errors of a [FileStore].
var ErrKeyStore = errKeyStore

var errKeyStore = redact.Words("selvbetjening: key store")

const (
	memberKey      = "privateJwk"
	memberXMLKey   = "rsaPrivateKey" // the same key in .NET's form
	memberRotation = "keyRotation"

	maxStoredFile = 1 << 20

	// rotationVersion is the form of the member keyRotation. It stays while older
	// versions of this library can read what is written.
	rotationVersion = 1
)

// FileStore is a [KeyStore] in a file. It is either the client's configuration file
// from HelseID Selvbetjening, with its members at the top, or one of its own, which need
// not exist yet.
//
// In a configuration file, Save replaces the member privateJwk, removes rsaPrivateKey
// (the old key in another form), and keeps what is not Current in the member
// keyRotation: an object with version, pendingJwk, pendingSince, currentSince and
// replaced, which [helseid.LoadConfig] ignores. All other members stay as they are. Without
// a configuration, these are the only members.
//
// Save writes a new file of mode 0600, and puts it in the place of the old one when it is
// on the disk: readers see the old content or the new. If the path is a symbolic link, the
// file that it leads to is replaced. The directory must be writable; a mounted secret of
// Kubernetes is not, and needs a store of its own.
//
// The version is that of the whole file: Save fails with [ErrKeysChanged] if anything in it
// has changed since Load. On Unix, Save locks the directory (flock) while it compares and
// replaces, so that several processes can use one file. A RotationConfig.Lock must
// therefore not lock that directory. On other systems, and on file systems without such
// locks, only one process at a time may rotate the keys in a file.
type FileStore struct {
	// Path is the file. Required.
	Path string
}

// storedRotation is the member keyRotation.
type storedRotation struct {
	Version      int             `json:"version"`
	CurrentSince *time.Time      `json:"currentSince,omitempty"`
	Pending      json.RawMessage `json:"pendingJwk,omitempty"`
	PendingSince *time.Time      `json:"pendingSince,omitempty"`
	Replaced     []string        `json:"replaced,omitempty"`
}

// Load implements [KeyStore].
func (s FileStore) Load(context.Context) (keys StoredKeys, err error) {
	document, version, _, err := s.read()
	if err != nil || document == nil {
		return keys, err
	}
	keys.Version = version
	if keys.Current, err = storedKey(document.Get(memberKey), memberKey); err != nil {
		return keys, err
	}
	if document.Get(memberRotation).Empty() {
		return keys, nil
	}
	rotation, ok := document.Get(memberRotation).Object()
	if !ok {
		return keys, fmt.Errorf("%w: the member %s is not an object", ErrKeyStore, memberRotation)
	}
	if version := rotation.Get("version"); !version.Absent() {
		if form, ok := version.Int(); !ok || form != rotationVersion {
			return StoredKeys{}, fmt.Errorf("%w: the member %s was written by another version of this library", ErrKeyStore, memberRotation)
		}
	}
	if keys.Pending, err = storedKey(rotation.Get("pendingJwk"), "pendingJwk"); err != nil {
		return keys, err
	}
	// A time that cannot be read is not known.
	text, _ := rotation.Get("currentSince").Text()
	keys.CurrentSince, _ = time.Parse(time.RFC3339, text)
	text, _ = rotation.Get("pendingSince").Text()
	keys.PendingSince, _ = time.Parse(time.RFC3339, text)
	replaced, _ := rotation.Get("replaced").Array()
	for _, kid := range replaced {
		if text, ok := kid.Text(); ok {
			keys.Replaced = append(keys.Replaced, text)
		}
	}
	return keys, nil
}

func storedKey(value jose.Value, name string) (*clientassertion.Key, error) {
	if value.Empty() {
		return nil, nil
	}
	text, ok := value.Text()
	if !ok {
		text = value.Raw()
	}
	key, err := clientassertion.ParseKey([]byte(text), clientassertion.KeyOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: the member %s: %w", ErrKeyStore, name, err)
	}
	return key, nil
}

// Save implements [KeyStore].
func (s FileStore) Save(ctx context.Context, keys StoredKeys) (version string, err error) {
	_, _, path, err := s.read()
	if err != nil {
		return "", err
	}
	unlock, err := lockDirectory(ctx, filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("%w: its directory cannot be locked: %w", ErrKeyStore, redact.Foreign(err))
	}
	defer unlock()
	document, found, resolved, err := s.read()
	if err != nil {
		return "", err
	}
	if found != keys.Version || resolved != path {
		return "", fmt.Errorf("%w: %w", ErrKeyStore, ErrKeysChanged)
	}
	content, err := withKeys(document, keys)
	if err != nil {
		return "", err
	}
	if err := replaceFile(path, content); err != nil {
		return "", fmt.Errorf("%w: the file was not replaced: the process must be able to write into its directory: %w", ErrKeyStore, redact.Foreign(err))
	}
	return versionOf(content), nil
}

// versionOf names the content of a file.
func versionOf(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// read reads the file, which need not exist, and finds out where it is.
func (s FileStore) read() (document *jose.Object, version, path string, err error) {
	if s.Path == "" {
		return nil, "", "", fmt.Errorf("%w: %w: field Path is required", ErrKeyStore, helseid.ErrConfig)
	}
	path, err = filepath.EvalSymlinks(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.Path); err == nil {
			return nil, "", "", fmt.Errorf("%w: the path is a symbolic link that leads nowhere", ErrKeyStore)
		}
		return nil, "", s.Path, nil
	}
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: %w", ErrKeyStore, redact.Foreign(err))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: %w", ErrKeyStore, redact.Foreign(err))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxStoredFile+1))
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: %w", ErrKeyStore, redact.Foreign(err))
	}
	if len(content) > maxStoredFile {
		return nil, "", "", fmt.Errorf("%w: the file is larger than 1 MiB", ErrKeyStore)
	}
	object, err := jose.ParseObject(content)
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: the file is not one JSON object, as HelseID Selvbetjening hands it out: %w", ErrKeyStore, err)
	}
	if object.Has("kty") || object.Has("keys") {
		return nil, "", "", fmt.Errorf("%w: the file is a key alone: name a configuration file, or a file that does not exist yet", ErrKeyStore)
	}
	if len(object.Names()) > 0 && !object.Has(memberKey) {
		return nil, "", "", fmt.Errorf("%w: the file has no member %s at the top: it is no configuration file from HelseID Selvbetjening", ErrKeyStore, memberKey)
	}
	return &object, versionOf(content), path, nil
}

// withKeys is the file with other keys, and with its members in their order.
func withKeys(document *jose.Object, keys StoredKeys) ([]byte, error) {
	if keys.Current == nil {
		return nil, fmt.Errorf("%w: there is no current key", ErrKeyStore)
	}
	current, err := keys.Current.MarshalPrivateJWK()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyStore, err)
	}
	rotation := storedRotation{Version: rotationVersion, CurrentSince: knownTime(keys.CurrentSince), PendingSince: knownTime(keys.PendingSince), Replaced: keys.Replaced}
	if keys.Pending != nil {
		if rotation.Pending, err = keys.Pending.MarshalPrivateJWK(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKeyStore, err)
		}
	} else {
		rotation.PendingSince = nil
	}
	key, err := json.Marshal(string(current)) // a text that holds JSON, as HelseID has it
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(rotation)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{memberKey: key, memberRotation: state}
	var names []string
	if document != nil {
		for _, name := range document.Names() {
			if name == memberXMLKey {
				continue
			}
			names = append(names, name)
			if members[name] == nil {
				members[name] = json.RawMessage(document.Get(name).Raw())
			}
		}
	}
	for _, name := range []string{memberKey, memberRotation} {
		if document == nil || !document.Has(name) {
			names = append(names, name)
		}
	}
	var content bytes.Buffer
	for i, name := range names {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		content.WriteString(map[bool]string{true: "{\n  ", false: ",\n  "}[i == 0])
		content.Write(quoted)
		content.WriteString(": ")
		content.Write(members[name])
	}
	content.WriteString("\n}\n")
	return content.Bytes(), nil
}

func knownTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Second)
	return &at
}

// replaceFile puts a file in the place of another in one step, and returns when it is on
// the disk.
func replaceFile(path string, content []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".helseid-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temporary.Close()
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err = temporary.Write(content); err != nil {
		return err
	}
	if err = temporary.Sync(); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	if err = os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }()
	_ = directory.Sync() // not every system has it; the file itself is on the disk
	return nil
}
