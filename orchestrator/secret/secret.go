// Package secret keeps what must not lie on a disk in the clear: parameters of
// tasks, passwords and keys of connections (orchestrator.md §2.5, §4.5).
//
// What is sealed is
//
//	1 byte    version of the form: 1
//	12 bytes  nonce, random
//	the rest  AES-256-GCM of the plain bytes; the purpose is authenticated too
//
// The key is 32 random bytes in a file that only its owner may read. It is made
// when there is none. Who has the file and the database has the secrets; a
// backup of the database alone has not.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	version  = 1
	keySize  = 32
	fileName = "secret.key"
)

// Keeper seals and opens. It is safe for concurrent use.
type Keeper struct{ aead cipher.AEAD }

// ErrSealed: what was sealed cannot be opened, because it was changed, or
// sealed with another key or for another purpose.
var ErrSealed = errors.New("secret: it cannot be opened: it was sealed with another key, or changed")

// Open takes the key in a directory, or makes one there.
func Open(dir string) (*Keeper, error) {
	path := filepath.Join(dir, fileName)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = create(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: the key: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("secret: the key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("secret: %s may be read by others (%v): chmod 600 it; if others may have read it, change the secrets that were stored", path, info.Mode().Perm())
	}
	return New(key)
}

// create makes a key. Its file is whole or not there, also after a crash: it
// is written under another name, synced, and then given its own.
func create(dir, path string) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key)                           // never fails
	f, err := os.CreateTemp(dir, fileName+".tmp-*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) { // somebody else was faster
		return os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return key, errors.Join(d.Sync(), d.Close())
}

// New makes a keeper of a key of 32 bytes.
func New(key []byte) (*Keeper, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("secret: the key has %d bytes, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return &Keeper{aead}, nil
}

// Seal seals plain bytes for a purpose, which Open has to name.
func (k *Keeper) Seal(purpose string, plain []byte) []byte {
	head := make([]byte, 1+k.aead.NonceSize(), 1+k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	head[0] = version
	_, _ = rand.Read(head[1:]) // never fails
	return k.aead.Seal(head, head[1:], plain, []byte(purpose))
}

// Open opens what was sealed for a purpose. Its error is ErrSealed.
func (k *Keeper) Open(purpose string, sealed []byte) ([]byte, error) {
	head := 1 + k.aead.NonceSize()
	if len(sealed) < head || sealed[0] != version {
		return nil, ErrSealed
	}
	plain, err := k.aead.Open(nil, sealed[1:head], sealed[head:], []byte(purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
