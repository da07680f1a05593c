package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Errors. Test for them with [errors.Is].
var (
	// ErrUnavailable means that Redis could not be asked, did not answer in time, or
	// refused.
	ErrUnavailable = outage("redisstore: Redis is not available")

	// ErrDecrypt means that a value is not what was stored in its place, or was
	// encrypted with a key that is not among [Config.EncryptionKeys].
	ErrDecrypt = words("redisstore: a stored value cannot be decrypted: it was changed, or its key is missing in EncryptionKeys")

	// ErrEviction means that Redis is configured to evict stored values when it is
	// short of memory.
	ErrEviction = words("redisstore: set maxmemory-policy to noeviction: otherwise used proofs are forgotten early, and can be used again")
)

// codeOutOfMemory is Redis's answer when maxmemory is reached and nothing may be
// evicted.
const codeOutOfMemory = "OOM"

// hints say what to do about errors that a wrong setup causes.
var hints = map[string]string{
	codeOutOfMemory: "it has reached maxmemory",
	"NOAUTH":        "it wants a user and a password",
	"WRONGPASS":     "the user or the password is wrong",
	"NOPERM":        "the user may not use a command or a key: see the package documentation",
	"READONLY":      "it is a replica",
	"MOVED":         "it is a node of a cluster: set Client to a redis.ClusterClient",
	"CROSSSLOT":     "it is a cluster: set Client to a redis.ClusterClient",
	"LOADING":       "it has just started",
}

// unavailable makes an error of what the Redis client returns. It does not include
// those texts: Redis quotes arguments, and the client quotes addresses with
// passwords.
func unavailable(err error) error {
	if code := replyCode(err); code != "" {
		if hint := hints[code]; hint != "" {
			code += ": " + hint
		}
		return fmt.Errorf("%w: it refused with %s", ErrUnavailable, code)
	}
	var (
		failed  net.Error
		network *net.OpError
		foreign *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &failed) && failed.Timeout():
		return fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, context.DeadlineExceeded)
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("%w: the store has been closed", ErrUnavailable)
	case errors.As(err, &foreign):
		return fmt.Errorf("%w: %w: is Config.TLS right?", ErrUnavailable, foreign)
	case errors.As(err, &network):
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, network.Op, network.Err)
	}
	return fmt.Errorf("%w: the connection broke", ErrUnavailable)
}

// replyCode returns the first word of an error that Redis itself answered, or "".
func replyCode(err error) string {
	var reply redis.Error
	if errors.Is(err, redis.Nil) || !errors.As(err, &reply) {
		return ""
	}
	code, _, _ := strings.Cut(reply.Error(), " ")
	if code == "" || len(code) > 20 || strings.ContainsFunc(code, func(char rune) bool { return char < 'A' || char > 'Z' }) {
		return "ERR"
	}
	return code
}
