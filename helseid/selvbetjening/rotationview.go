package selvbetjening

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

// maxReplaced is how many kids of former keys are kept in a store.
const maxReplaced = 32

// view is what the store and HelseID know of the client's keys.
type view struct {
	stored  StoredKeys
	secrets []ClientSecret // empty if refused
	refused bool           // HelseID does not take the key in use any more
}

// look reads the store and HelseID's list, and takes over a key that the store has.
func (r *Rotation) look(ctx context.Context) (seen view, err error) {
	if seen.stored, err = r.load(ctx); err != nil {
		return seen, err
	}
	seen.secrets, err = r.self.ClientSecrets(ctx)
	if err != nil {
		if seen.refused = isInvalidClient(err); seen.refused && seen.stored.Pending != nil {
			return seen, nil
		}
		return seen, r.failure("list the client's keys", err)
	}
	current := r.key.current()
	if secret, ok := find(seen.secrets, current); ok && !secret.Expiration.IsZero() {
		r.expires(current, secret.Expiration)
	}
	r.reportOrphans(ctx, seen)
	return seen, nil
}

// load reads the store, and brings it and the key in use together.
func (r *Rotation) load(ctx context.Context) (StoredKeys, error) {
	stored, err := r.config.Store.Load(ctx)
	if err != nil {
		return stored, r.failure("read the store", err)
	}
	used := r.key.used.Load()
	switch {
	case stored.Current == nil: // nothing has been saved yet, or the store has lost it
		stored.Current, stored.CurrentSince = used.Key, used.since
		if used.since.IsZero() {
			return stored, nil
		}
	case same(stored.Current, used.Key):
		return stored, nil
	case same(stored.Pending, used.Key): // it was not saved that the key works
		stored = promoted(stored, nil)
	case stored.CurrentSince.After(used.since):
		r.use(ctx, stored.Current, stored.CurrentSince, time.Time{})
		return stored, nil
	default:
		// The store has gone back to an earlier state, or somebody has put another key
		// there.
		err := r.try(ctx, stored.Current)
		if err == nil {
			r.use(ctx, stored.Current, stored.CurrentSince, time.Time{})
			return stored, nil
		}
		if !isInvalidClient(err) {
			return stored, r.failure("try the key "+stored.Current.ID()+", which the store has in place of the one in use", err)
		}
		stored.Pending, stored.PendingSince = used.Key, used.since
		stored = promoted(stored, nil)
	}
	if stored.Version, err = r.config.Store.Save(ctx, stored); err != nil {
		return stored, r.failure("save the key in use", err)
	}
	return stored, nil
}

// promoted is what is stored when the pending key has become the current one. Former keys
// that HelseID does not list any more are forgotten, unless there is no list.
func promoted(stored StoredKeys, secrets []ClientSecret) StoredKeys {
	replaced := append(slices.Clone(stored.Replaced), stored.Current.ID())
	if secrets != nil {
		replaced = slices.DeleteFunc(replaced, func(kid string) bool {
			return !slices.ContainsFunc(secrets, func(secret ClientSecret) bool { return secret.KeyID == kid })
		})
	}
	replaced = replaced[max(0, len(replaced)-maxReplaced):]
	return StoredKeys{Current: stored.Pending, CurrentSince: stored.PendingSince, Replaced: replaced, Version: stored.Version}
}

// reportOrphans reports keys that HelseID lists and the store has never had.
func (r *Rotation) reportOrphans(ctx context.Context, seen view) {
	unknown := r.unknownIn(seen.secrets, seen.stored)
	if len(unknown) == 0 {
		return
	}
	stored, err := r.config.Store.Load(ctx) // another instance may have saved a key just now
	if err != nil {
		return
	}
	for _, secret := range r.unknownIn(unknown, stored) {
		r.orphan(ctx, secret, "HelseID lists a key of the client that is not in the store: if nobody else uses it, remove it in HelseID Selvbetjening")
	}
}

// unknownIn are the keys that a store does not know, and that have not been reported.
func (r *Rotation) unknownIn(secrets []ClientSecret, stored StoredKeys) (unknown []ClientSecret) {
	for _, secret := range secrets {
		if !isKey(secret, r.key.current()) && !isKey(secret, stored.Current) && !isKey(secret, stored.Pending) &&
			!slices.Contains(stored.Replaced, secret.KeyID) && !r.reported[nameOf(secret)] {
			unknown = append(unknown, secret)
		}
	}
	return unknown
}

// find finds a key among those that are registered.
func find(secrets []ClientSecret, key *clientassertion.Key) (ClientSecret, bool) {
	i := slices.IndexFunc(secrets, func(secret ClientSecret) bool { return isKey(secret, key) })
	if i < 0 {
		return ClientSecret{}, false
	}
	return secrets[i], true
}

func isKey(secret ClientSecret, key *clientassertion.Key) bool {
	return key != nil && (secret.Thumbprint == key.Thumbprint() || secret.Thumbprint == "" && secret.KeyID == key.ID())
}

// nameOf names a registered key.
func nameOf(secret ClientSecret) string { return cmp.Or(secret.KeyID, secret.Thumbprint) }
