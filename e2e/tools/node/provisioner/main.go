// Dynamic volumes for a one-node cluster: every claim of a StorageClass whose
// provisioner is portolan.dev/local gets a directory and a `local`
// PersistentVolume (which, unlike hostPath, honours fsGroup). A claim that asks
// for more afterwards is answered at once, as a CSI resizer would; a volume that
// was released under the policy Delete goes, with its directory.
// Sizes are recorded and not enforced.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"
)

const provisionerName = "portolan.dev/local"

// state mirrors the cluster's objects by UID; only the main loop touches it.
type state struct {
	api     *api
	node    string
	root    string
	classes map[string]storageClass
	claims  map[string]claim
	volumes map[string]volume
}

func main() {
	server := flag.String("server", "https://127.0.0.1:6443", "address of the API server")
	ca := flag.String("ca", "", "file with the CA of the API server")
	certificate := flag.String("certificate", "", "file with the client certificate")
	key := flag.String("key", "", "file with its key")
	node := flag.String("node", "", "name of the node the volumes are on")
	root := flag.String("directory", "", "directory below which the volumes are made")
	flag.Parse()
	client, err := newAPI(*server, *ca, *certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	s := &state{
		api: client, node: *node, root: *root,
		classes: map[string]storageClass{}, claims: map[string]claim{}, volumes: map[string]volume{},
	}
	changes := make(chan func(), 64)
	go mirror(client, "/apis/storage.k8s.io/v1/storageclasses", s.classes, changes, func(o storageClass) string { return o.Metadata.Name })
	go mirror(client, "/api/v1/persistentvolumeclaims", s.claims, changes, func(o claim) string { return o.Metadata.UID })
	go mirror(client, "/api/v1/persistentvolumes", s.volumes, changes, func(o volume) string { return o.Metadata.Name })
	for {
		select {
		case change := <-changes:
			change()
		case <-time.After(2 * time.Second): // what failed is tried again
		}
		if len(changes) == 0 {
			s.reconcile()
		}
	}
}

// mirror keeps a map equal to a collection by changes that the main loop runs.
func mirror[T any](client *api, path string, into map[string]T, changes chan<- func(), key func(T) string) {
	follow(client, path,
		func(all []T) {
			changes <- func() {
				clear(into)
				for _, object := range all {
					into[key(object)] = object
				}
			}
		},
		func(kind string, object T) {
			changes <- func() {
				if kind == "DELETED" {
					delete(into, key(object))
				} else {
					into[key(object)] = object
				}
			}
		})
}

func (s *state) reconcile() {
	for _, c := range s.claims {
		if c.Metadata.Annotations["volume.kubernetes.io/storage-provisioner"] != provisionerName || c.Metadata.Deleted != nil {
			continue
		}
		v, exists := s.volumes["pvc-"+c.Metadata.UID]
		switch {
		case c.Spec.VolumeName == "" && !exists:
			report("providing a volume for", c.Metadata, s.provide(c))
		case exists && c.Status.Phase == "Bound":
			report("growing the volume of", c.Metadata, s.grow(c, v))
		}
	}
	for _, v := range s.volumes {
		ours := v.Metadata.Annotations["pv.kubernetes.io/provisioned-by"] == provisionerName
		if ours && v.Status.Phase == "Released" && v.Spec.ReclaimPolicy == "Delete" && v.Metadata.Deleted == nil {
			report("deleting", v.Metadata, s.reclaim(v))
		}
	}
}

func report(doing string, object metadata, err error) {
	if err != nil {
		log.Printf("%s %s/%s: %v", doing, object.Namespace, object.Name, err)
	}
}

func (s *state) provide(c claim) error {
	class, known := s.classes[c.Spec.StorageClassName]
	chosen := c.Metadata.Annotations["volume.kubernetes.io/selected-node"]
	if !known || class.Provisioner != provisionerName || class.VolumeBindingMode == "WaitForFirstConsumer" && chosen == "" {
		return nil
	}
	name := "pvc-" + c.Metadata.UID
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	err := s.api.create("/api/v1/persistentvolumes", volumeFor(c, class, name, path, s.node))
	if hasStatus(err, 409) { // created by an earlier pass whose event is on its way
		return nil
	}
	return err
}

func volumeFor(c claim, class storageClass, name, path, node string) map[string]any {
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "PersistentVolume",
		"metadata": map[string]any{
			"name":        name,
			"annotations": map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName},
		},
		"spec": map[string]any{
			"capacity":                      map[string]string{"storage": c.Spec.Resources.Requests.Storage},
			"accessModes":                   c.Spec.AccessModes,
			"volumeMode":                    c.Spec.VolumeMode,
			"storageClassName":              c.Spec.StorageClassName,
			"persistentVolumeReclaimPolicy": class.ReclaimPolicy,
			"local":                         map[string]string{"path": path},
			"claimRef": map[string]string{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim",
				"namespace": c.Metadata.Namespace, "name": c.Metadata.Name, "uid": c.Metadata.UID,
			},
			"nodeAffinity": map[string]any{"required": map[string]any{"nodeSelectorTerms": []any{
				map[string]any{"matchExpressions": []any{
					map[string]any{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{node}},
				}},
			}}},
		},
	}
}

// grow makes the volume, then the claim's status, as large as the claim asks.
func (s *state) grow(c claim, v volume) error {
	wanted := c.Spec.Resources.Requests.Storage
	if isLarger(wanted, v.Spec.Capacity.Storage) {
		size := map[string]any{"spec": map[string]any{"capacity": map[string]string{"storage": wanted}}}
		if err := s.api.mergePatch("/api/v1/persistentvolumes/"+v.Metadata.Name, size); err != nil {
			return err
		}
	}
	if !isLarger(wanted, c.Status.Capacity.Storage) {
		return nil
	}
	status := map[string]any{"status": map[string]any{"capacity": map[string]string{"storage": wanted}, "conditions": nil}}
	return s.api.mergePatch("/api/v1/namespaces/"+c.Metadata.Namespace+"/persistentvolumeclaims/"+c.Metadata.Name+"/status", status)
}

func (s *state) reclaim(v volume) error {
	if filepath.Dir(v.Spec.Local.Path) == filepath.Clean(s.root) {
		if err := os.RemoveAll(v.Spec.Local.Path); err != nil {
			return err
		}
	}
	err := s.api.remove("/api/v1/persistentvolumes/" + v.Metadata.Name)
	if hasStatus(err, 404) {
		return nil
	}
	return err
}
