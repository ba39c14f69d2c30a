package orchestration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processes looks at the arguments and environments of all processes, again and
// again, for secrets.
type processes struct {
	canaries *canaries
	program  string // the program: none of its processes may show any
	// What processes of others may show: what they are given that way.
	environ, arguments []string

	mu    sync.Mutex
	found []string
	seen  map[string]bool // names of secrets that were found where they may be
	looks int
}

// watch looks until the test ends, which fails if something was found.
func (p *processes) watch(t *testing.T) {
	t.Helper()
	p.seen = map[string]bool{}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			p.sample()
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
		p.check(t)
	})
}

// check requires that nothing was found so far.
func (p *processes) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.found)
	t.Logf("looked at all processes %d times", p.looks)
}

// saw tells whether a secret was where it may be.
func (p *processes) saw(pair string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[pair]
}

func (p *processes) sample() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		for file, allowed := range map[string][]string{"cmdline": p.arguments, "environ": p.environ} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || len(text) == 0 {
				continue // it has ended, or is the kernel's
			}
			forms, names := p.canaries.find(text)
			if len(forms)+len(names) == 0 {
				continue
			}
			exe, _ := os.Readlink(filepath.Join(dir, "exe"))
			for _, name := range names {
				if exe != p.program && slices.Contains(allowed, name) {
					p.seen[name+" "+file] = true
					continue
				}
				forms = append(forms, name)
			}
			if len(forms) > 0 && len(p.found) < 5 {
				command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
				p.found = append(p.found, fmt.Sprintf("%v in %s of %s: %s", forms, file, exe, bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
			}
		}
	}
}
