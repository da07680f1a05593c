package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// stage holds everything that takes part.
type stage struct {
	tell     *narrator
	helseid  *helseidtest.Server
	redis    shared
	balancer *balancer
	clients  []*process
}

func show(ctx context.Context, opts options, tell *narrator, stderr io.Writer) error {
	redis, err := openRedis(ctx, opts)
	if err != nil {
		return err
	}
	defer redis.close()
	tell.step("redis", nil, "Redis is there and does what is needed.")

	// The server requires no nonce, so that one token needs one request.
	helseid, err := helseidtest.Start(helseidtest.Relaxed(rule.Nonce))
	if err != nil {
		return err
	}
	defer helseid.Close()
	tell.step("helseid", nil, "A HelseID for tests runs in this process, at %s: plain http, which is accepted on loopback only.", helseid.Issuer())

	s := &stage{tell: tell, helseid: helseid, redis: redis, balancer: startBalancer()}
	defer s.balancer.close()
	end, err := s.startProcesses(ctx, &oneAtATime{w: stderr})
	defer end()
	if err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.oneToken, s.usedElsewhere, s.withoutRedis} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	tell.step("summary", facts{"ok": true}, "Everything was as it should be.")
	return nil
}

// startProcesses starts two processes of the API and two of the client.
func (s *stage) startProcesses(ctx context.Context, stderr io.Writer) (end func(), err error) {
	var processes []*process
	end = func() {
		for _, process := range processes {
			process.close()
		}
	}
	common := settings{KeyPrefix: "helseid-cluster-" + rand.Text() + ":"}
	common.Redis, common.ServerName = s.redis.address()
	_, common.TrustPersistence = s.redis.(*server) // our own server writes each proof to disk
	public := s.balancer.server.URL

	for _, name := range []string{"A", "B"} {
		own := common
		own.Name, own.Issuer, own.PublicURL = name, s.helseid.Issuer(), public
		var ready listening
		process, err := startProcess(ctx, roleAPI, own, stderr, &ready)
		if err != nil {
			return end, err
		}
		processes = append(processes, process)
		if err := s.balancer.add(ready.URL); err != nil {
			return end, err
		}
		s.tell.step("process", facts{"role": roleAPI, "name": name, "pid": process.cmd.Process.Pid},
			"API process %s runs at %s, behind a load balancer at %s.", name, ready.URL, public)
	}

	file := s.helseid.ConfigFile(helseidtest.Scopes(scope)) // HelseID Selvbetjening hands this out
	key, err := dpop.GenerateKey(dpop.KeyOptions{})         // tokens are bound to it, so the processes need the same
	if err != nil {
		return end, err
	}
	jwk, err := key.MarshalPrivateJWK()
	if err != nil {
		return end, err
	}
	common.ConfigFile, common.DPoPKey, common.CallURL = file, jwk, public+"/journal"
	encryption := make([]byte, 32)
	_, _ = rand.Read(encryption) // never fails (Go 1.24)
	common.EncryptionKey = base64.StdEncoding.EncodeToString(encryption)
	for _, name := range []string{"1", "2"} {
		own := common
		own.Name = name
		process, err := startProcess(ctx, roleClient, own, stderr, new(tally))
		if err != nil {
			return end, err
		}
		processes, s.clients = append(processes, process), append(s.clients, process)
		s.tell.step("process", facts{"role": roleClient, "name": name, "pid": process.cmd.Process.Pid}, "Client process %s runs.", name)
	}
	return end, nil
}

// oneToken shows that one client process uses a token that the other has fetched.
func (s *stage) oneToken(ctx context.Context) error {
	counts := make([]int64, len(s.clients))
	for i, client := range s.clients {
		tally, err := s.order(ctx, client, doCall)
		if err != nil {
			return err
		}
		if tally.Calls != 1 || tally.Failed != 0 {
			return fmt.Errorf("the call of client process %s failed: %s", client.name, tally.Failure)
		}
		counts[i] = tally.TokenRequests
	}
	asked := len(s.helseid.Requests(helseidtest.EndpointToken))
	s.tell.step("shared_token", facts{"token_requests": asked, "by_process": counts},
		"Both client processes have called the API. Client 1 asked HelseID for a token %d time, client 2 %d times: it found that of client 1 in Redis.", counts[0], counts[1])
	if asked != 1 || counts[0] != 1 || counts[1] != 0 {
		return fmt.Errorf("HelseID was asked for %d tokens, not for one", asked)
	}
	return nil
}

// order sends a command to a client process.
func (s *stage) order(ctx context.Context, client *process, do string) (tally, error) {
	var answer tally
	err := client.ask(ctx, command{do}, &answer)
	return answer, err
}

// usedElsewhere shows that one API process refuses a proof that the other has accepted.
func (s *stage) usedElsewhere(ctx context.Context) error {
	tally, err := s.order(ctx, s.clients[0], doCall)
	if err != nil {
		return err
	}
	if tally.Failed != 0 {
		return fmt.Errorf("a call failed: %s", tally.Failure)
	}
	seen, start := s.balancer.lastUsed(), time.Now()
	for _, api := range []int{1 - seen.api, seen.api} {
		found, err := s.balancer.replay(ctx, seen, api)
		if err != nil {
			return err
		}
		took := time.Since(start)
		s.tell.step("replay", facts{"seen_by": name(seen.api), "sent_to": name(api), "status": found.status, "reason": found.reason, "ms": took.Milliseconds()},
			"A request that API process %s has let in is copied and sent to process %s, %v later.\n  → %d %s", name(seen.api), name(api), took.Round(time.Millisecond), found.status, found.reason)
		if found.status != http.StatusUnauthorized || found.reason != "proof_replayed" {
			return fmt.Errorf("the copy was answered with %d %s, not refused as used", found.status, found.reason)
		}
		if took > time.Second {
			return fmt.Errorf("that took %v, more than a second", took)
		}
	}
	return nil
}

func name(api int) string { return string(rune('A' + api)) }

// withoutRedis shows that no call is lost and no used proof is accepted when Redis
// becomes unreachable under load.
func (s *stage) withoutRedis(ctx context.Context) error {
	for _, client := range s.clients {
		if _, err := s.order(ctx, client, doStart); err != nil {
			return err
		}
	}
	attacking, stopAttack := context.WithCancel(ctx)
	defer stopAttack()
	attacked := make(chan error, 1)
	go func() { attacked <- s.balancer.attackAllTheTime(attacking) }()
	more := func(what string, count func() int, enough int) error {
		start := count()
		return waitFor(ctx, what, func() bool { return count() >= start+enough })
	}
	letIn := func() int { return s.balancer.answers(http.StatusOK) }
	turnedAway := func() int { return s.balancer.answers(http.StatusServiceUnavailable) }
	tokens := func() int { return len(s.helseid.Requests(helseidtest.EndpointToken)) }
	uncheckedTries := func() int { return s.balancer.tries().Unchecked }
	if err := more("calls", letIn, 20); err != nil {
		return err
	}

	before, how := s.balancer.lastUsed(), s.redis.takeAway()
	s.tell.step("kill", nil, "Both clients call the API all the time, and the attacker sends on what goes by. Redis is %s.", how)
	if err := more("answers of 503", turnedAway, 3); err != nil {
		return err
	}
	if err := more("attacks", uncheckedTries, 10); err != nil {
		return err
	}
	for _, client := range s.clients {
		// The tokens are discarded and fetched from HelseID again.
		start := tokens()
		if _, err := s.order(ctx, client, doForget); err != nil {
			return err
		}
		if err := waitFor(ctx, "a token", func() bool { return tokens() > start }); err != nil {
			return err
		}
	}
	s.tell.step("outage", facts{"unavailable_answers": turnedAway(), "attacks": s.balancer.tries()},
		"Without Redis the API cannot tell which proofs have been used, and answers 503 to everybody. The clients get tokens from HelseID as ever.")

	if err := s.redis.bringBack(ctx); err != nil {
		return err
	}
	if err := more("calls", letIn, 20); err != nil {
		return err
	}
	found, err := s.balancer.replay(ctx, before, 1-before.api)
	if err != nil {
		return err
	}
	s.tell.step("restart", facts{"status": found.status, "reason": found.reason},
		"Redis is back. A request from before is sent once more.\n  → %d %s", found.status, found.reason)
	stopAttack()
	if err := <-attacked; err != nil {
		return err
	}
	return s.reckon(ctx, found)
}

// reckon stops the load and adds up the results.
func (s *stage) reckon(ctx context.Context, late verdict) error {
	var total tally
	for _, client := range s.clients {
		tally, err := s.order(ctx, client, doStop)
		if err != nil {
			return err
		}
		total.Calls += tally.Calls
		total.Repeated += tally.Repeated
		total.Failed += tally.Failed
		total.TokenRequests += tally.TokenRequests
		if total.Failure == "" {
			total.Failure = tally.Failure
		}
	}
	tries := s.balancer.tries()
	s.tell.step("load", facts{
		"calls": total.Calls, "repeated": total.Repeated, "failed": total.Failed, "token_requests": total.TokenRequests,
		"attacks": tries,
	},
		"%d calls ended well, some after %d answers of 503 in all, and %d were lost. Of the attacker's %d copies %d were let through.",
		total.Calls, total.Repeated, total.Failed, tries.Used+tries.Unchecked+tries.Other+tries.LetThrough, tries.LetThrough)
	switch {
	case total.Failed > 0:
		return fmt.Errorf("%d calls were lost, the first because %s", total.Failed, total.Failure)
	case tries.LetThrough > 0:
		return fmt.Errorf("%d used proofs were let through", tries.LetThrough)
	case late.status != http.StatusUnauthorized:
		return fmt.Errorf("a proof used before the outage was answered with %d %s", late.status, late.reason)
	case total.Repeated == 0 || tries.Used == 0 || tries.Unchecked == 0:
		return fmt.Errorf("the outage was not felt: nothing has been shown")
	}
	return nil
}
