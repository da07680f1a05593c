// Package redisstore puts on Redis or Valkey what several processes must share:
// the tokens of a client (helseid.TokenCache), the sessions of logged-in users
// (helseid.Store) and the used proofs of an API (dpop.ReplayStore).
//
// It is a module of its own, so that only those who use it get the Redis client.
//
// A client whose processes share its tokens, and the sessions of the users who log
// in with helseid or weblogin:
//
//	package main
//
//	import (
//		"log"
//		"os"
//
//		"github.com/helseid-go/sdk/dpop"
//		"github.com/helseid-go/sdk/helseid"
//		"github.com/helseid-go/sdk/helseid/redisstore"
//	)
//
//	func main() {
//		store, err := redisstore.New(redisstore.Config{
//			URL:            identity.NewSecret(os.Getenv("REDIS_URL")), // rediss://user:password@redis.example.no:6379
//			EncryptionKeys: []identity.Secret{identity.NewSecret(os.Getenv("STORE_KEY"))}, // openssl rand -base64 32
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer store.Close()
//
//		config, err := helseid.LoadConfig("client.json")
//		if err != nil {
//			log.Fatal(err)
//		}
//		config.TokenCache, config.Store = store.TokenCache(), store.Rows()
//		config.DPoPKey, err = dpop.ParseKey([]byte(os.Getenv("DPOP_KEY")), dpop.KeyOptions{}) // the same in all processes
//		if err != nil {
//			log.Fatal(err)
//		}
//		client, err := helseid.New(config)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer client.Close()
//	}
//
// An API whose processes share the proofs that have been used needs no
// encryption key:
//
//	replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret(os.Getenv("REDIS_URL"))})
//	…
//	auth, err := middleware.New(middleware.Config{
//		Issuer:   helseid.Production.Issuer(),
//		Audience: "nhn:some-api",
//		Proof:    dpop.VerifierConfig{Replay: replays},
//	})
//
// # What is stored
//
//	helseid:token:<hash>           a token, encrypted, until shortly before it expires
//	helseid:session:<kind>-<hash>  a hash with version and data, the data encrypted: a session, a
//	                               login under way, the index of a user's sessions, or the refresh
//	                               tokens of ended ones that HelseID has not revoked yet
//	helseid:proof:<hash>           a used proof: nothing of it, for 30 seconds at most
//	helseid:proof:origin           since when used proofs are remembered
//
// In a cluster a hash tag comes before the last part of a proof's keys, so that each
// proof lies beside the origin that it depends on, and there are 64 groups of them,
// spread over the nodes. All other uses concern one key.
//
// Tokens and what belongs to sessions are encrypted with AES-256-GCM under a key that
// is derived from the first of Config.EncryptionKeys for this one place (HKDF,
// RFC 5869), with a random nonce and the place as additional data: a value that
// somebody moves to another place is refused. Who can write to Redis can still put
// back an older value of the same place, or delete values. To rotate, put a new key
// first and keep the old one behind it until what it encrypted has expired. Processes that
// do not know the new key yet cannot read what it encrypts, so first add it
// behind the old one everywhere.
//
// # When Redis does not answer
//
// Each use of Redis for a proof or a token is bounded by Config.Timeout, 250 ms
// unless you set it, and each for a session by Config.SessionTimeout, 2 s. After
// five uses, one after the other, without an answer, and no answer to any for as long
// as the longer of these limits, Redis is left alone for a second, then tried by one
// use at a time, and all others fail at once; if there is nothing to connect to, five
// are enough. Those that were under way at the same time count once, so a single late
// answer has no such consequence, and neither have those that this process, short of
// processor time, was late to look at.
//
// A token that is in a client's memory needs no Redis. Others a client gets from
// HelseID then, as if there were no cache. A session cannot be read or written: the
// error wraps helseid.ErrStore. A proof is refused, because nobody can tell
// whether it has been used: the middleware answers 503. Config.AcceptUncheckedProofs turns that round.
//
// # How to run Redis
//
// Redis 7.0 or newer, or Valkey: alone, named by Config.URL, or with Sentinel or as
// a cluster, with a Config.Client:
//
//	Client: redis.NewClusterClient(&redis.ClusterOptions{
//		Addrs:                 []string{"redis-1.example.no:6379", "redis-2.example.no:6379"},
//		TLSConfig:             &tls.Config{},
//		ContextTimeoutEnabled: true,
//	}),
//
// A user of its own needs no more than
//
//	ACL SETUSER helseid on >password ~helseid:* +get +set +del +hmget +hset +pexpire +pttl +eval +evalsha +info +time
//
// For a replay store get, set, eval, evalsha, info and time are enough. In a cluster
// both need +cluster|slots, +command and +asking too. A used proof
// takes some 200 bytes of memory for 30 seconds at most: 1000 calls a second take
// 6 MB. There is no quota for each client, as MemoryReplay has one.
//
//	maxmemory-policy noeviction
//
// is required for used proofs. With any other policy a Redis that is short of
// memory drops them before their time, and each of them can be used once
// more; it logs users out, too. So each process asks for the policy with its first proof
// and then every ten seconds, in the command that records a proof, and refuses all
// proofs as if Redis were down while it is another; Check reports it, too. INFO must tell
// it: where it does not, Config.TrustNoEviction says that all is well. With noeviction
// a Redis that is short of memory refuses to record, and then proofs are refused.
//
// A Redis that restarts, or that another takes over from, may have forgotten which
// proofs were used: with a snapshot all since that, with appendfsync everysec those
// of the last second or two, without persistence all, and a replica that is promoted
// lacks some milliseconds' worth. It is noticed with the next proof, by the
// replication id and by a key that says since when all is remembered. From then on
// proofs that may have been used before are refused, as if Redis were down. That is
// all of them for VerifierConfig.MaxFuture + ReplicaSkew + 10 seconds, so 18 seconds
// by default, and for clients whose clocks are behind by so much longer. What
// FLUSHALL drops is noticed in the same way, and so is a first replica that is
// attached, though nothing is lost then. In a cluster this concerns the proofs of the
// node that restarts or is replaced, and those of a slot that moves to another node;
// while it moves, new proofs in it are refused. With cluster-require-full-coverage
// no, those of the other nodes are let in all the time. Tokens are fetched anew.
//
// Sessions that have ended since the state that Redis went back to would be there
// again. So each session carries the replication id, and one with another than the
// present is unconfirmed (helseid.StoredRow): when it is next used it is refreshed,
// and believed only if HelseID accepts that. One without a refresh token ends. After a
// restart that lost nothing this costs a refresh for each session; after one from an
// older snapshot most users log in again, since the refresh tokens in it have been used.
// A cluster that moves a session to another node asks in the same way.
//
// Two things are not noticed. A Redis that has forgotten that key as well, because it
// keeps nothing, is taken for a new one by a process that has not asked it before,
// if that asks first, and used proofs are not missed; processes that have asked are not
// misled. And DEBUG RELOAD, a restored disk or machine that goes on running, RESTORE of
// single keys, and a clock that jumps ahead leave no trace.
//
// If nothing is ever forgotten there is no need for that pause and those refreshes. It
// is for you to say so, with Config.TrustPersistence:
//
//	appendonly yes
//	appendfsync always
//
// A cluster or Sentinel setup that is cut in two may answer on both sides for a
// while, and let a proof through on each; set min-replicas-to-write to bound it.
// After a takeover a session may go back to its version before, and HelseID is asked
// about it. WAIT does not change that for certain, so this package does not use it. A
// proxy that spreads keys over several servers behind one address cannot be used for
// proofs.
//
// # Clocks
//
// What is left of a lifetime is reckoned by the process that stores and counted down
// by Redis, so the clocks of the processes and of Redis may differ. But Redis counts
// by its own: set it right by small steps, since one that jumps ahead forgets what it
// should keep. Used proofs are kept ten seconds longer than asked for, because the
// clocks of the processes may differ; where they differ by more, set
// VerifierConfig.ReplicaSkew. MaxAge and MaxFuture must be the same in all processes.
//
// # Logs and errors
//
// No error holds a key, a value or a password. The Redis client has a log of its
// own, which the process shares and this package does not touch. It writes failed
// connections of a Config.Client to standard error unless you give it another logger
// with redis.SetLogger; those of a Config.URL come as errors alone.
package redisstore
