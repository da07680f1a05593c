package helseid

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	defaultKeyFileInterval = 5 * time.Second

	// sameTick is how coarse the times of files can be: a file that was written just
	// before it was read may have been written again without another time.
	sameTick = 2 * time.Second
)

// KeyFileConfig says where a key is read from.
type KeyFileConfig struct {
	// Path is a configuration file, as [LoadConfig] reads it, or a file with a key alone,
	// as [clientassertion.ParseKey] does. It may be a symbolic link or stand behind one,
	// as mounted secrets of Kubernetes do. Required.
	Path string

	// Interval is how often, at most, the file is checked. Zero means 5 seconds.
	Interval time.Duration

	// Logger, if set, gets a line when the key is replaced (Info), and when the file
	// has changed and cannot be used (Error).
	Logger *slog.Logger

	// OnEvent, if set, is told the same as [EventKeyReplaced] and [EventKeyFailed]. It
	// can be that of a Config, and must return quickly.
	OnEvent func(ctx context.Context, event Event)
}

// KeyFile is a key in a file that may change while the program runs: a
// [clientassertion.KeySource] for [Config.KeySource]. The file is checked when a key is
// needed, at most once per Interval of [KeyFileConfig], and at once when HelseID refuses
// the key; so nothing runs in the background, and nothing needs to be closed. It counts as
// changed if its time, its size or its identity has changed. A file that is missing, cannot
// be read, holds no key or belongs to another client is reported and not used: the earlier
// key stays in use.
type KeyFile struct {
	unprintable

	config  KeyFileConfig
	client  clientNames // of the file, if it is a configuration
	key     atomic.Pointer[clientassertion.Key]
	checked atomic.Int64 // when the file was looked at last, in Unix nanoseconds

	mu      sync.Mutex // held by the one who looks at the file
	read    time.Time
	found   fs.FileInfo
	content [sha256.Size]byte
	problem string // what was told of last, or ""
}

// clientNames are whose key it is.
type clientNames struct{ issuer, clientID string }

// NewKeyFile reads the key for the first time. Errors wrap [ErrConfig] and never quote
// the file.
func NewKeyFile(config KeyFileConfig) (*KeyFile, error) {
	if config.Interval < 0 {
		return nil, fmt.Errorf("%w: field Interval is negative", ErrConfig)
	}
	if config.Interval == 0 {
		config.Interval = defaultKeyFileInterval
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	f := &KeyFile{config: config}
	found, data, err := readKeyFile(config.Path)
	if err == nil {
		var key *clientassertion.Key
		if key, f.client, err = parseKeyFile(data); err == nil {
			f.key.Store(key)
			f.note(found, sha256.Sum256(data))
			return f, nil
		}
	}
	if errors.Is(err, ErrConfig) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrConfig, err)
}

// Key returns the key that the file last held. It never fails.
func (f *KeyFile) Key(ctx context.Context) (*clientassertion.Key, error) {
	if time.Since(time.Unix(0, f.checked.Load())).Abs() >= f.config.Interval && f.mu.TryLock() {
		f.look(ctx)
		f.mu.Unlock()
	}
	return f.key.Load(), nil
}

// KeyRefused checks the file at once.
func (f *KeyFile) KeyRefused(ctx context.Context, refused *clientassertion.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key.Load().Thumbprint() == refused.Thumbprint() {
		f.look(ctx)
	}
}

// look reads the file if it has changed.
func (f *KeyFile) look(ctx context.Context) {
	now := time.Now()
	f.checked.Store(now.UnixNano())
	found, err := os.Stat(f.config.Path)
	if err == nil && f.unchanged(found) {
		return
	}
	found, data, err := readKeyFile(f.config.Path)
	if err != nil {
		f.found = nil // to be read again, whatever it is then
		f.fail(ctx, err)
		return
	}
	content := sha256.Sum256(data)
	same := content == f.content
	f.note(found, content)
	if same {
		return
	}
	key, client, err := parseKeyFile(data)
	if err == nil && f.client != (clientNames{}) && client != f.client {
		err = errors.New("the file is that of another client or environment: restart with it if that is meant")
	}
	if err != nil {
		f.fail(ctx, err)
		return
	}
	f.problem = ""
	before := f.key.Swap(key)
	if before.Thumbprint() == key.Thumbprint() && before.ID() == key.ID() && before.Algorithm() == key.Algorithm() {
		return
	}
	f.config.Logger.InfoContext(ctx, "the client's key has been replaced by the one that its file holds now",
		slog.String("client_id", f.client.clientID), slog.String("kid", key.ID()), slog.String("old_kid", before.ID()))
	f.emit(ctx, Event{Kind: EventKeyReplaced, KeyID: key.ID()})
}

// note remembers what has been read.
func (f *KeyFile) note(found fs.FileInfo, content [sha256.Size]byte) {
	now := time.Now()
	f.checked.Store(now.UnixNano())
	f.read, f.found, f.content = now, found, content
}

// unchanged reports that a file is the one that was read, as it was.
func (f *KeyFile) unchanged(found fs.FileInfo) bool {
	return f.found != nil && os.SameFile(found, f.found) && found.Size() == f.found.Size() &&
		found.ModTime().Equal(f.found.ModTime()) && f.read.Sub(found.ModTime()).Abs() > sameTick
}

// fail tells what is wrong with the file, once.
func (f *KeyFile) fail(ctx context.Context, err error) {
	if err.Error() == f.problem {
		return
	}
	f.problem = err.Error()
	kid := f.key.Load().ID()
	f.config.Logger.ErrorContext(ctx, "the file of the client's key has changed and cannot be used: the key before stays in use",
		slog.String("client_id", f.client.clientID), slog.String("kid", kid), cause(err))
	if errors.Is(err, ErrKey) { // in an event this means that the client's key did not sign
		err = errors.New(err.Error())
	}
	f.emit(ctx, Event{Kind: EventKeyFailed, KeyID: kid, Err: err})
}

func (f *KeyFile) emit(ctx context.Context, event Event) {
	if f.config.OnEvent != nil {
		event.ClientID = f.client.clientID
		f.config.OnEvent(ctx, event)
	}
}

// readKeyFile reads a file that is one: opening a pipe would wait.
func readKeyFile(path string) (fs.FileInfo, []byte, error) {
	found, err := os.Stat(path)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	if !found.Mode().IsRegular() {
		return nil, nil, redact.Words("the path is not that of a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	defer func() { _ = file.Close() }()
	if found, err = file.Stat(); err != nil { // of what is read, whatever stands there by now
		return nil, nil, unreadable(err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return nil, nil, unreadable(err)
	}
	return found, data, nil
}

func unreadable(err error) error {
	return fmt.Errorf("the file cannot be read: %w", redact.Foreign(err))
}

// parseKeyFile reads a configuration file, or a key alone.
func parseKeyFile(data []byte) (*clientassertion.Key, clientNames, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, clientNames{}, errors.New("the file is empty")
	}
	object, err := jose.ParseObject(jose.UnwrapJSON(data))
	if err != nil || object.Has("kty") || object.Has("keys") {
		if config, err := ParseConfig(data); err == nil { // with comments, for instance
			return config.Key, clientNames{config.Issuer, config.ClientID}, nil
		}
		key, err := clientassertion.ParseKey(data, clientassertion.KeyOptions{})
		return key, clientNames{}, err
	}
	config, err := ParseConfig(data)
	if err != nil {
		return nil, clientNames{}, err
	}
	return config.Key, clientNames{config.Issuer, config.ClientID}, nil
}
