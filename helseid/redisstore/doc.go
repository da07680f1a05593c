// Package redisstore keeps on Redis or Valkey what several processes must share: the
// tokens of a client ([helseid.TokenCache]), the sessions of logged-in users
// ([helseid.Store]), the lock under which a client's key is replaced, and on request the
// key itself ([selvbetjening.KeyStore]), and the used proofs of an API
// ([dpop.ReplayStore]).
//
// Use it when a client or an API runs in more than one process. A single process keeps all
// this in memory by default, and needs this package only for sessions that outlast a
// restart. It is a separate module, so that only programs that use it depend on the Redis
// client.
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
//		"github.com/helseid-go/sdk/helseid/identity"
//		"github.com/helseid-go/sdk/helseid/redisstore"
//	)
//
//	func main() {
//		store, err := redisstore.New(redisstore.Config{
//			URL:            identity.NewSecret(os.Getenv("REDIS_URL")),                    // rediss://user:password@redis.example.no:6379
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
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer replays.Close()
//	auth, err := middleware.New(middleware.Config{
//		Issuer:   helseid.Production.Issuer(),
//		Audience: "nhn:some-api",
//		Proof:    dpop.VerifierConfig{Replay: replays},
//	})
//
// A client whose processes replace its key together, here in a file that they share:
//
//	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
//		Client: config,
//		Store:  selvbetjening.FileStore{Path: "/shared/client.json"}, // or store.ClientKeys
//		Lock:   store.KeyLock(config.ClientID),
//	})
//
// # What is stored
//
//	helseid:token:<hash>           a token, encrypted, until shortly before it expires
//	helseid:session:<kind>-<hash>  a hash with version and data, the data encrypted: a session, a
//	                               login under way, the index of a user's sessions, or the refresh
//	                               tokens of ended ones that HelseID has not revoked yet
//	helseid:lock:<hash>            who replaces a client's key, for 10 seconds at most after it has ended
//	helseid:key:<hash>             a client's private keys, encrypted, with Config.KeepClientKeys alone
//	helseid:proof:<hash>           a used proof: only its hash, for 30 seconds at most
//	helseid:proof:origin           since when used proofs are remembered
//
// In a cluster, a hash tag before the last part of a proof's key keeps each proof on the
// same node as the origin that it depends on. There are 64 such groups, spread over the
// nodes. All other uses concern one key.
//
// Tokens, session data and keys are encrypted with AES-256-GCM under a key that is derived
// from the first of [Config.EncryptionKeys] for this one place (HKDF, RFC 5869), with a
// random nonce and the place as additional data: a value that is moved to another place is
// refused. Anyone who can write to Redis can still put back an older value of the same
// place, or delete values. To rotate, put a new key first and keep the old one after it
// until what it encrypted has expired, and until the keys of clients have been replaced.
// Processes that do not know the new key yet cannot read what it encrypts, so first add it
// after the old one everywhere.
//
// # When Redis does not answer
//
// Each use of Redis for a proof or a token is limited by [Config.Timeout], by default
// 250 ms, and each use for a session by [Config.SessionTimeout], by default 2 s. If five
// uses in a row get no answer, and no use gets one for the longer of these limits, Redis is
// left alone for a second. After that one use at a time tries it, and all others fail at
// once. If no connection can be made, five failures are enough. Uses that were under way
// at the same time count once, so a single late answer does not have this effect, and
// neither do answers that this process read late because it was short of processor time.
//
// Meanwhile a token in a client's memory needs no Redis, and a client gets other tokens
// from HelseID, as if there were no cache. A session cannot be read or written: the error
// wraps [helseid.ErrStore]. A proof is refused, because it is not known whether it has been
// used: the middleware answers 503. [Config.AcceptUncheckedProofs] accepts proofs instead.
//
// # How to run Redis
//
// Redis 7.0 or newer, or Valkey: alone, with [Config.URL], or with Sentinel or as
// a cluster, with a [Config.Client]:
//
//	Client: redis.NewClusterClient(&redis.ClusterOptions{
//		Addrs:                 []string{"redis-1.example.no:6379", "redis-2.example.no:6379"},
//		TLSConfig:             &tls.Config{},
//		ContextTimeoutEnabled: true,
//	}),
//
// A dedicated Redis user needs only these rights:
//
//	ACL SETUSER helseid on >password ~helseid:* +get +set +del +hmget +hset +pexpire +pttl +eval +evalsha +info +time
//
// For a replay store get, set, eval, evalsha, info and time are enough. In a cluster
// both need +cluster|slots, +command and +asking too. A used proof takes about 200 bytes
// of memory for 30 seconds at most: 1000 calls a second take 6 MB. Unlike [dpop.MemoryReplay],
// there is no quota for each client.
//
//	maxmemory-policy noeviction
//
// is required for used proofs. With any other policy a Redis that is short of memory
// drops them early, and each of them can be used once more; it also logs users out. So
// each process reads the policy with its first proof and then every ten seconds, in the
// command that records a proof. With another policy it refuses all proofs, as if Redis
// were down; [Store.Check] reports it, too. If INFO does not state the policy,
// [Config.TrustNoEviction] says that it is noeviction. With noeviction a Redis that is
// short of memory refuses to record proofs, and then proofs are refused.
//
// A Redis that has restarted, or has taken over from another, may have forgotten used
// proofs: with snapshots all since the last one, with appendfsync everysec those of the
// last second or two, without persistence all; a promoted replica lacks those of some
// milliseconds. This is noticed with the next proof, by the replication id and by a key
// that says since when all used proofs are remembered. From then on proofs that may have
// been used before are refused, as if Redis were down. That is all of them for
// MaxFuture + ReplicaSkew of [dpop.VerifierConfig] + 10 seconds, so 18 seconds by default, and longer
// for clients whose clocks are behind, by as much as they are. FLUSHALL is noticed in the
// same way, and so is the first replica that is attached, although nothing is lost then. In
// a cluster this concerns the proofs of the node that restarts or is replaced, and those of
// a slot that moves to another node; while it moves, new proofs in it are refused. With
// cluster-require-full-coverage no, the proofs of the other nodes are accepted all the time.
// Tokens that were lost are fetched again.
//
// If Redis goes back to an earlier state, sessions that have ended since would exist
// again. So each session stores the replication id, and one with another id than the
// present one is unconfirmed ([helseid.StoredRow]): at its next use it is refreshed, and
// used only if HelseID accepts the refresh. A session without a refresh token ends. After a
// restart that lost nothing this costs one refresh for each session. After a restart from
// an older snapshot most users must log in again, since the refresh tokens in it have been
// used. A session that a cluster moves to another node is refreshed in the same way.
//
// Two things are not noticed. A Redis without persistence has forgotten that key as
// well. If the first process to ask after the restart has not asked before, it takes Redis
// for a new one, and does not notice that used proofs are missing; processes that have
// asked before do. And DEBUG RELOAD, a restored disk or machine that continues to run,
// RESTORE of single keys, and a clock that jumps ahead leave no trace.
//
// If Redis never forgets anything, that pause and those refreshes are unnecessary. Then
// set [Config.TrustPersistence]:
//
//	appendonly yes
//	appendfsync always
//
// In a network partition, a cluster or Sentinel setup may answer on both sides for a
// while, and accept a proof on each; set min-replicas-to-write to limit that. After a
// failover a session may go back to an earlier version, and HelseID is asked about it. WAIT
// does not reliably prevent that, so this package does not use it. A proxy that distributes
// keys over several servers behind one address cannot be used for proofs.
//
// # Clocks
//
// The process that stores a value computes its remaining lifetime, and Redis counts that
// down, so the clocks of the processes and of Redis may differ. But Redis uses its own
// clock: correct it in small steps, because a clock that jumps ahead makes Redis forget
// values early. Used proofs are kept ten seconds longer than asked for, because the clocks
// of the processes may differ; if they differ by more, set ReplicaSkew of [dpop.VerifierConfig].
// MaxAge and MaxFuture must be the same in all processes.
//
// # Logs and errors
//
// No error contains a key, a value or a password. The Redis client has its own log,
// which the whole process shares and this package does not change. It writes failed
// connections of a [Config.Client] to standard error unless you set another logger with
// redis.SetLogger; those of a [Config.URL] are only returned as errors.
package redisstore
