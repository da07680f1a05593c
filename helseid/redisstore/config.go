package redisstore

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/helseid-go/sdk/helseid/identity"
)

const (
	defaultKeyPrefix      = "helseid:"
	defaultTimeout        = 250 * time.Millisecond
	defaultSessionTimeout = 2 * time.Second

	encryptionKeySize = 32 // bytes

	minTimeout   = 10 * time.Millisecond
	maxTimeout   = 10 * time.Second
	maxKeyPrefix = 64
	maxKeys      = 8
)

// ErrConfig is wrapped by every error about the configuration. When it occurs,
// nothing has been sent.
var ErrConfig = words("redisstore: configuration")

// Config says where Redis is and how to encrypt. Printed, logged or marshalled it
// reads "[redacted]".
type Config struct {
	unprintable

	// URL is where a single Redis is, with its password:
	//
	//	rediss://user:password@redis.example.no:6379/0    over TLS
	//	redis://127.0.0.1:6379                            without
	//	unix:///run/redis.sock
	//
	// Either URL or Client is required.
	URL identity.Secret

	// TLS configures the connection of a rediss URL, for a private certificate
	// authority or a client certificate. Nil means the system's authorities.
	// InsecureSkipVerify is an error, also in Client, unless Redis is on loopback or
	// VerifyConnection or VerifyPeerCertificate is set.
	TLS *tls.Config

	// AllowPlaintext permits a redis URL to another machine. Anyone on the network
	// path can then answer in place of Redis, read its password and let used proofs
	// through. Tokens and sessions are still encrypted.
	AllowPlaintext bool

	// Client is your own Redis client, for Sentinel, a cluster or credentials that
	// change. It must have ContextTimeoutEnabled, because otherwise it does not
	// observe Timeout. It cannot be a [redis.Ring], which moves keys to another
	// server when one is down and so forgets used proofs. Close does not close it.
	Client redis.UniversalClient

	// KeyPrefix is the prefix of all keys: printable ASCII without spaces and braces,
	// at most 64 characters. Empty means "helseid:".
	KeyPrefix string

	// EncryptionKeys encrypt tokens and sessions. The first encrypts, all decrypt;
	// there may be up to eight. Each is 32 random bytes in Base64, as printed by
	// "openssl rand -base64 32". They are secret: whoever has one of them and access
	// to Redis has the users' tokens. Required for [New], not used by [NewReplays].
	EncryptionKeys []identity.Secret

	// Timeout limits each use of Redis for a proof or a token, 10 ms to 10 s. Zero
	// means 250 ms. [helseid.Client] waits for a token for 500 ms at most.
	Timeout time.Duration

	// SessionTimeout limits each use of Redis for a session, 10 ms to 10 s. Zero
	// means 2 s: a failure for a proof or a token costs little, but for a session the
	// user gets an error page.
	SessionTimeout time.Duration

	// TrustPersistence says that Redis remembers everything that it has confirmed,
	// over every restart and failover (appendonly yes, appendfsync always, and no
	// replica that lags behind). Without it, a session from before a restart is only
	// used after a refresh that HelseID accepts, and a proof that may have been used
	// before a restart is refused, which means all proofs for some 18 seconds: see
	// the package documentation. If it is set without such persistence, each proof of
	// the last seconds before a restart can be used once more.
	TrustPersistence bool

	// TrustNoEviction says that Redis does not evict keys although it does not report
	// its maxmemory-policy: INFO may lack it at a hosting provider. Without it proofs
	// are refused unless INFO reports noeviction. If it is set with another policy, a
	// Redis that is short of memory forgets used proofs, and each can be used once
	// more.
	TrustNoEviction bool

	// AcceptUncheckedProofs accepts proofs while Redis cannot be asked or cannot
	// tell, so that an API stays available without its Redis. It gives up the
	// protection against replay for as long as an attacker keeps Redis down, slow or
	// full, and after each restart. [Replays.Unchecked] counts these proofs.
	AcceptUncheckedProofs bool

	// KeepClientKeys permits [Store.ClientKeys]: private keys of clients in Redis, encrypted
	// as sessions are. Whoever has one of EncryptionKeys and can read Redis can then act as
	// the client. If Redis loses the keys, and HelseID no longer accepts the key of the
	// client's configuration, the client is locked out. So KeepClientKeys requires
	// TrustPersistence, and maxmemory-policy noeviction. [Store.KeyLock] does not need it.
	KeepClientKeys bool

	// Logger, if set, gets a line when Redis stops answering or may have forgotten
	// proofs (level Warn), and when it answers again (Info). No line contains a key
	// or a value.
	Logger *slog.Logger
}

// checked returns the configuration with its defaults filled in.
func (c Config) checked(needKeys bool) (Config, error) {
	errs := []error{c.checkServer()}
	if c.KeyPrefix == "" {
		c.KeyPrefix = defaultKeyPrefix
	}
	if len(c.KeyPrefix) > maxKeyPrefix || strings.ContainsFunc(c.KeyPrefix, func(char rune) bool {
		return char <= ' ' || char > '~' || char == '{' || char == '}'
	}) {
		errs = append(errs, fmt.Errorf("field KeyPrefix must be printable ASCII without spaces and braces, at most %d characters", maxKeyPrefix))
	}
	if needKeys {
		errs = append(errs, c.checkKeys()...)
		if c.KeepClientKeys && !c.TrustPersistence {
			errs = append(errs, errors.New("field KeepClientKeys needs a Redis that forgets nothing: appendonly yes, appendfsync always, and TrustPersistence"))
		}
	}
	errs = append(errs, checkTimeout("Timeout", &c.Timeout, defaultTimeout), checkTimeout("SessionTimeout", &c.SessionTimeout, defaultSessionTimeout))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

func checkTimeout(field string, timeout *time.Duration, standard time.Duration) error {
	switch {
	case *timeout == 0:
		*timeout = standard
	case *timeout < minTimeout || *timeout > maxTimeout:
		return fmt.Errorf("field %s is %v: it must be %v to %v", field, *timeout, minTimeout, maxTimeout)
	}
	return nil
}

func (c Config) checkKeys() []error {
	var errs []error
	if len(c.EncryptionKeys) == 0 {
		errs = append(errs, fmt.Errorf("field EncryptionKeys is required: %d random bytes in Base64, kept where secrets are (openssl rand -base64 32); for an API's used proofs alone call NewReplays", encryptionKeySize))
	}
	if len(c.EncryptionKeys) > maxKeys {
		errs = append(errs, fmt.Errorf("field EncryptionKeys has %d keys: at most %d are of use", len(c.EncryptionKeys), maxKeys))
	}
	keys := make([][]byte, len(c.EncryptionKeys))
	for i, text := range c.EncryptionKeys {
		key, err := decodeKey(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("field EncryptionKeys[%d] is not Base64: openssl rand -base64 %d makes one", i, encryptionKeySize))
			continue
		case len(key) != encryptionKeySize:
			errs = append(errs, fmt.Errorf("field EncryptionKeys[%d] has %d bytes: it must have %d", i, len(key), encryptionKeySize))
		case bytes.Count(key, key[:1]) == len(key):
			errs = append(errs, fmt.Errorf("field EncryptionKeys[%d] is one byte over and over: make it at random", i))
		}
		keys[i] = key
		for j := range i {
			if keys[j] != nil && bytes.Equal(keys[j], key) {
				errs = append(errs, fmt.Errorf("field EncryptionKeys[%d] is the same as EncryptionKeys[%d]", i, j))
			}
		}
	}
	return errs
}

// decodeKey reads an encryption key.
func decodeKey(text identity.Secret) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text.Reveal()))
}

func (c Config) checkServer() error {
	given := c.URL.Reveal() != ""
	switch {
	case !given && c.Client == nil:
		return errors.New("field URL or Client is required: where Redis is")
	case given && c.Client != nil:
		return errors.New("fields URL and Client exclude each other")
	case c.Client != nil:
		return checkClient(c.Client)
	}
	options, err := c.options()
	switch {
	case err != nil:
		return err
	case c.TLS == nil && options.TLSConfig != nil && options.TLSConfig.InsecureSkipVerify:
		return errors.New("field URL: skip_verify is not accepted, because anybody could answer in place of Redis: put its authority into TLS")
	case c.TLS != nil && options.TLSConfig == nil:
		return errors.New("field TLS needs a rediss URL")
	case skipsVerification(c.TLS) && !isLoopback(options.Addr):
		return fmt.Errorf("field TLS: %w", errUnverified)
	case options.TLSConfig != nil || options.Network == "unix" || c.AllowPlaintext:
		return nil
	}
	if !isLoopback(options.Addr) {
		return errors.New("field URL: use rediss, which is Redis over TLS: without it, whoever is on the way can let used proofs through; AllowPlaintext permits that")
	}
	return nil
}

func checkClient(client redis.UniversalClient) error {
	obeys, verifies := true, true
	switch client := client.(type) {
	case *redis.Client:
		options := client.Options()
		obeys = options.ContextTimeoutEnabled
		verifies = !skipsVerification(options.TLSConfig) || isLoopback(options.Addr)
	case *redis.ClusterClient:
		options := client.Options()
		obeys = options.ContextTimeoutEnabled
		verifies = !skipsVerification(options.TLSConfig) ||
			len(options.Addrs) > 0 && !slices.ContainsFunc(options.Addrs, func(address string) bool { return !isLoopback(address) })
	case *redis.Ring:
		return errors.New("field Client: a redis.Ring moves keys to another server when one is down, and with that lets used proofs through: use a cluster")
	}
	if !obeys {
		return errors.New("field Client: set ContextTimeoutEnabled in its options, without which it does not keep to Timeout")
	}
	if !verifies {
		return fmt.Errorf("field Client: TLSConfig: %w", errUnverified)
	}
	return nil
}

// options returns the options of the Redis client. Errors do not quote the URL, which
// contains the password.
func (c Config) options() (*redis.Options, error) {
	options, err := redis.ParseURL(c.URL.Reveal())
	if err != nil {
		return nil, errors.New("field URL is no Redis URL: use rediss://user:password@host:6379/0, redis:// or unix://")
	}
	if c.TLS != nil && options.TLSConfig != nil {
		name := options.TLSConfig.ServerName
		options.TLSConfig = c.TLS.Clone()
		if options.TLSConfig.ServerName == "" {
			options.TLSConfig.ServerName = name
		}
	}
	timeout := max(c.Timeout, c.SessionTimeout) // each use has its own limit, which is not longer
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = timeout, timeout, timeout, timeout
	options.ContextTimeoutEnabled = true
	options.DialerRetries = 1
	options.Dialer = quiet(options)
	options.MaxRetries = 1 // each use may be sent twice without harm
	options.PipelinePoolSize = -1
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}
