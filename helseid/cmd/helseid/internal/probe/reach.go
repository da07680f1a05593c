package probe

import (
	"context"
	"fmt"
	"time"
)

// reach tries growing steps until one is refused, and returns the last that was accepted
// and the first that was not. Zero for refused means that all were accepted.
func (l *lab) reach(ctx context.Context, found *answer, what string, steps []time.Duration, make func(time.Duration) attempt) (accepted, refused time.Duration, err error) {
	for _, step := range steps {
		got, err := l.try(ctx, make(step))
		if err != nil {
			return 0, 0, err
		}
		found.see(fmt.Sprintf("%v %s", step, what), got)
		if !got.ok() {
			return accepted, step, nil
		}
		accepted = step
	}
	return accepted, 0, nil
}

// between says in words where a limit lies.
func between(accepted, refused time.Duration) string {
	switch {
	case refused == 0:
		return fmt.Sprintf("at least %v", accepted)
	case accepted == 0:
		return fmt.Sprintf("less than %v", refused)
	}
	return fmt.Sprintf("%v, and not %v", accepted, refused)
}

func seconds(counts ...int) []time.Duration {
	steps := make([]time.Duration, len(counts))
	for i, count := range counts {
		steps[i] = time.Duration(count) * time.Second
	}
	return steps
}
