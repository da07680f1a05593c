package redisstore

import (
	"github.com/redis/go-redis/v9/logging"
)

// go-redis has one logger for the whole process, and it writes each failed
// connection to standard error. It is switched off before main runs, so that
// what an application sets there stands.
func init() { logging.Disable() }
