package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// A setup says which servers and which client a scenario wants.
type setup struct {
	auth      authOptions
	apiNonces bool
	alg       string // of the client's key; RS256 if left out
}

// A bench is one authorization server, one API and one client's configuration file.
type bench struct {
	lab    *lab
	auth   *authServer
	api    *apiServer
	client client
	flags  flags // what machine is run with unless a scenario says otherwise
}

func (l *lab) bench(ctx context.Context, want setup) (*bench, error) {
	auth, err := l.auth(ctx, want.auth)
	if err != nil {
		return nil, err
	}
	api, err := l.api(ctx, apiOptions{auth: want.auth, nonces: want.apiNonces})
	if err != nil {
		return nil, err
	}
	if want.alg == "" {
		want.alg = "RS256"
	}
	client := auth.state.Clients[want.alg]
	file, err := l.writeConfig(newConfigFile(client))
	if err != nil {
		return nil, err
	}
	return &bench{
		lab:    l,
		auth:   auth,
		api:    api,
		client: client,
		flags: flags{
			"config": file,
			"issuer": auth.state.Issuer,
			"scope":  auth.state.Scopes[0],
			"url":    api.url + "/things?x=1",
			"n":      "50",
			"c":      "10",
			"json":   "true",
		},
	}, nil
}

// run runs machine with the bench's flags, changed by those given; an empty one is left out.
func (b *bench) run(ctx context.Context, changes flags) (*result, error) {
	binary, err := b.lab.machineBinary(ctx)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(b.flags)
	maps.Copy(all, changes)
	result, err := runMachine(ctx, b.lab.log, binary, all)
	if err != nil {
		return nil, err
	}
	if leaked := findSecret(result.stdout+result.stderr, b.client.PrivateJWK); leaked != "" {
		return nil, fmt.Errorf("machine printed %s", leaked)
	}
	return result, nil
}

// stats fetches what both servers saw and checks what must hold in every scenario. `scope` is the
// one that was asked for.
func (b *bench) stats(ctx context.Context, scope string) (authStats, apiStats, error) {
	auth, err := b.auth.stats(ctx)
	if err != nil {
		return auth, apiStats{}, err
	}
	api, err := b.api.stats(ctx)
	if err != nil {
		return auth, api, err
	}
	return auth, api, errors.Join(auth.check(scope), api.check())
}
