package key

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

func watchCommand() cli.Command {
	return cli.Command{
		Name:    "watch",
		Summary: "replace the key of a configuration file before it expires, as long as it runs",
		Help: `Looks after the key of a configuration file as rotate does, for as long as it runs: it replaces
the key before it expires, tries again after failures, and prints what happens. It ends with 0
when it is interrupted. Run one of it for each file.`,
		Examples: []string{
			`helseid key watch -config client.json`,
			`helseid key watch -config client.json -before 1440h -json`,
		},
		Setup: setupWatch,
	}
}

func setupWatch(flags *cli.Flags) cli.Run {
	var r rotating
	r.add(flags)
	before := flags.Duration("before", 30*24*time.Hour, "`time` before its expiry at which a key is replaced, or a third of its lifetime if that is less")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		if err := r.checkFile(); err != nil {
			return err
		}
		config, err := r.client.Config(out)
		if err != nil {
			return err
		}
		var current atomic.Value // the kid
		current.Store(config.Key.ID())
		config.OnEvent = func(_ context.Context, event helseid.Event) { tell(out, event, &current) }
		rotation, err := r.start(ctx, config, *before)
		if err != nil {
			return err
		}
		defer rotation.Close()
		out.Say("looking after the key %s of %s", config.Key.ID(), r.client.File)
		out.Event(rotationEvent{Event: "watching", KeyID: config.Key.ID()})
		rotation.Run(ctx)
		return nil
	}
}

// tell prints what has happened to the key.
func tell(out *cli.Output, event helseid.Event, current *atomic.Value) {
	said := rotationEvent{KeyID: event.KeyID}
	if !event.Expiry.IsZero() {
		said.Expires = event.Expiry.Format(time.RFC3339)
	}
	switch event.Kind {
	case helseid.EventKeyReplaced:
		said.Event, said.OldKeyID = "rotated", current.Swap(event.KeyID).(string)
		out.Say("the key %s has been replaced by %s, which %s", said.OldKeyID, event.KeyID, expires(event.Expiry, time.Now()))
	case helseid.EventKeyFailed:
		said.Event, said.Problem = "failed", cli.WithoutQuery(event.Err).Error()
		out.Note("%s: it is tried again", said.Problem)
	case helseid.EventKeyOrphan:
		said.Event = "orphan"
		out.Note("HelseID lists a key %s that does not work yet, or that the file does not have", event.KeyID)
	default:
		return
	}
	out.Event(said)
}
