// Package volumes gives a pod its volumes and takes them back.
//
// ConfigMap, Secret, downward API and projected volumes are views of the API:
// the package writes them itself, atomically, those with secrets in memory.
// Every other type is a plugin's, found by the name of the type or of the CSI
// driver.
//
// Nothing is remembered outside the directory of a pod, which says all that
// taking back needs, also of a pod that nobody knows any more:
//
//	pods/<uid>/volumes/<plugin>/<volume>     the target of a plugin
//	pods/<uid>/volumes/@<kind>/<volume>      written by the node itself
//	pods/<uid>/volume-subpaths/<container>/<attempt>/<index>
//
// No plugin name starts with @. A directory is removed only where nothing is
// mounted below it, so that no data of a volume is ever deleted with it.
package volumes
