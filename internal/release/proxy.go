package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// proxy is a folder that the go command can use as GOPROXY. It has the tagged versions of
// this repository, made as the real proxy makes them.
type proxy struct {
	folder string
	cache  string // the downloaded modules of this machine, so that they are not downloaded again
}

func newProxy(ctx context.Context, folder string) (*proxy, error) {
	cache, err := output(ctx, "", "go", "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	return &proxy{folder: folder, cache: filepath.Join(cache, "cache", "download")}, nil
}

// environment makes the go command take this repository's modules from the proxy, and
// keep them apart from the machine's other modules.
func (p *proxy) environment(ctx context.Context) ([]string, error) {
	others, err := output(ctx, "", "go", "env", "GOPROXY")
	if err != nil {
		return nil, err
	}
	return []string{
		"GOPROXY=file://" + filepath.ToSlash(p.folder) + ",file://" + filepath.ToSlash(p.cache) + "," + others,
		"GONOSUMDB=" + rootModule + "," + rootModule + "/*",
		"GOMODCACHE=" + p.folder + "-cache",
		"GOFLAGS=-modcacherw -mod=mod",
		"GOWORK=off",
		"GOBIN=" + p.folder + "-bin",
	}, nil
}

// add adds the version that a tag of the repository names.
func (p *proxy) add(root string, m released, version string) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	folder := filepath.Join(p.folder, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }()
	at := module.Version{Path: m.Path, Version: version}
	if err := zip.CreateFromVCS(archive, at, root, m.tag(version), m.Folder); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	mod, err := output(context.Background(), root, "git", "show", m.tag(version)+":"+filepath.ToSlash(filepath.Join(m.Folder, "go.mod")))
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	for name, content := range map[string]string{version + ".mod": mod + "\n", version + ".info": string(info), "list": version + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
