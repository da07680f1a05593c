package redisstore

import (
	"crypto/fips140"

	"github.com/redis/go-redis/v9"
)

// newScript makes a script. Redis names scripts by the SHA-1 of their source, which
// protects nothing, so that GODEBUG=fips140=only does not forbid it.
func newScript(source string) (script *redis.Script) {
	fips140.WithoutEnforcement(func() { script = redis.NewScript(source) })
	return script
}
