package pdb

import "sync/atomic"

// Maintenance is the mode in which /pdb/* answers 503: while the program
// starts and while it stops. The zero value is off, and so is nil.
type Maintenance struct{ on atomic.Bool }

// Enter turns the mode on.
func (m *Maintenance) Enter() { m.on.Store(true) }

// Leave turns the mode off.
func (m *Maintenance) Leave() { m.on.Store(false) }

// On tells whether the mode is on.
func (m *Maintenance) On() bool { return m != nil && m.on.Load() }
