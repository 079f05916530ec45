;;; aix-lsp-ghost.el --- Text that is offered at point but not there yet  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; The ghost knows of no server.  It is given candidates and a function
;; that is called when one of them stands in the buffer; it shrinks while
;; its own text is typed, grows again when that is deleted, and goes away
;; with any other change.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defgroup aix-lsp-ghost nil
  "How an offer looks."
  :group 'aix-lsp
  :prefix "aix-lsp-ghost-")

(defface aix-lsp-ghost-face '((t :inherit shadow))
  "The text of an offer.")

(cl-defstruct (aix-lsp-candidate (:copier nil))
  "One offer: TEXT takes the place of what is typed of it from BEG on.
COMMAND tells the server that it was taken."
  beg text command)

(defvar-local aix-lsp-ghost--shown nil
  "Non-nil while a ghost is shown; its keys are active then.")

(defvar-local aix-lsp-ghost--overlay nil)
(defvar-local aix-lsp-ghost--candidates nil "List of those that go on from what is typed.")
(defvar-local aix-lsp-ghost--index 0 "Which of them is shown.")
(defvar-local aix-lsp-ghost--at nil "The place that the ghost stands at.")
(defvar-local aix-lsp-ghost--spoilt nil "Non-nil after a change that no candidate goes on from.")
(defvar-local aix-lsp-ghost--accepted nil "Called with a candidate that was taken whole.")

(defun aix-lsp-ghost-show (candidates accepted)
  "Offer CANDIDATES at point, the first of them visibly.
Those that do not begin with what stands between their beginning and
point are left out.  ACCEPTED is called with a candidate, once all of it
is in the buffer."
  (aix-lsp-ghost-hide)
  (setq aix-lsp-ghost--candidates (cl-remove-if-not #'aix-lsp-ghost--rest candidates)
        aix-lsp-ghost--index 0
        aix-lsp-ghost--accepted accepted)
  (when aix-lsp-ghost--candidates
    (setq aix-lsp-ghost--shown t)
    (add-hook 'after-change-functions #'aix-lsp-ghost--changed nil t)
    (aix-lsp-ghost--draw)))

(defun aix-lsp-ghost-hide ()
  "Offer nothing any more."
  (when aix-lsp-ghost--overlay
    (delete-overlay aix-lsp-ghost--overlay))
  (remove-hook 'after-change-functions #'aix-lsp-ghost--changed t)
  (setq aix-lsp-ghost--overlay nil
        aix-lsp-ghost--candidates nil
        aix-lsp-ghost--shown nil
        aix-lsp-ghost--spoilt nil
        aix-lsp-ghost--accepted nil
        aix-lsp-ghost--at nil))

(defun aix-lsp-ghost-disown ()
  "This buffer was made as a copy of another with its ghost: leave the ghost to that one."
  (remove-overlays (point-min) (point-max) 'aix-lsp-ghost t)
  (setq aix-lsp-ghost--overlay nil)
  (aix-lsp-ghost-hide))

(defun aix-lsp-ghost-several-p ()
  "Whether there is more than one candidate to choose from."
  (and (cdr aix-lsp-ghost--candidates) t))

(defun aix-lsp-ghost--candidate ()
  "The candidate that is shown, or nil."
  (nth aix-lsp-ghost--index aix-lsp-ghost--candidates))

(defun aix-lsp-ghost-text ()
  "What would be inserted now, or nil while nothing is shown."
  (and aix-lsp-ghost--shown (aix-lsp-ghost--rest (aix-lsp-ghost--candidate))))

(defun aix-lsp-ghost--rest (candidate)
  "What CANDIDATE has behind the text before point; nil if nothing, or if it differs."
  (let* ((beg (aix-lsp-candidate-beg candidate))
         (text (aix-lsp-candidate-text candidate))
         (typed (and (<= (point-min) beg (point)) (buffer-substring-no-properties beg (point)))))
    (and typed
         (string-prefix-p typed text)
         (< (length typed) (length text))
         (substring text (length typed)))))

(defun aix-lsp-ghost--draw ()
  "Show the candidate at point."
  (let* ((rest (aix-lsp-ghost--rest (aix-lsp-ghost--candidate)))
         (shown (propertize rest 'face 'aix-lsp-ghost-face)))
    ;; The cursor stays where the next key goes.  On a line break it would be drawn at the end of the ghost.
    (when (eq (aref shown 0) ?\n)
      (setq shown (concat (propertize " " 'face 'default) shown)))
    (put-text-property 0 1 'cursor t shown)
    (if aix-lsp-ghost--overlay
        (move-overlay aix-lsp-ghost--overlay (point) (point))
      (setq aix-lsp-ghost--overlay (make-overlay (point) (point) nil t t))
      (overlay-put aix-lsp-ghost--overlay 'aix-lsp-ghost t)
      (overlay-put aix-lsp-ghost--overlay 'priority 1000))
    (overlay-put aix-lsp-ghost--overlay 'after-string shown)
    (overlay-put aix-lsp-ghost--overlay 'window (selected-window))
    (setq aix-lsp-ghost--at (point))))

(defun aix-lsp-ghost--changed (beg end length)
  "Follow a change from BEG to END that had LENGTH characters before."
  (cond ((not aix-lsp-ghost--shown))
        ((and (zerop length) (= beg aix-lsp-ghost--at))
         (setq aix-lsp-ghost--at end))
        ((and (= beg end)
              (= (+ beg length) aix-lsp-ghost--at)
              (cl-some (lambda (candidate) (<= (aix-lsp-candidate-beg candidate) beg)) aix-lsp-ghost--candidates))
         (setq aix-lsp-ghost--at beg))
        (t (setq aix-lsp-ghost--spoilt t))))

(defun aix-lsp-ghost-follow ()
  "After a command: keep the ghost if what is offered still goes on from point.
Otherwise hide it.  Returns `kept', `whole' when all of the offer stands
in the buffer now, or nil."
  (when aix-lsp-ghost--shown
    (let* ((fits (and (not aix-lsp-ghost--spoilt) (= (point) aix-lsp-ghost--at)))
           (current (aix-lsp-ghost--candidate))
           (left (and fits (cl-remove-if-not #'aix-lsp-ghost--rest aix-lsp-ghost--candidates)))
           (whole (and fits (aix-lsp-ghost--whole-p current))))
      (cond ((and left (not whole))
             (setq aix-lsp-ghost--index (or (cl-position current left :test #'eq) 0)
                   aix-lsp-ghost--candidates left)
             (aix-lsp-ghost--draw)
             'kept)
            (t (aix-lsp-ghost-hide)
               (and whole 'whole))))))

(defun aix-lsp-ghost--whole-p (candidate)
  "Whether all of CANDIDATE stands before point."
  (let ((beg (aix-lsp-candidate-beg candidate)))
    (and (<= (point-min) beg (point))
         (string= (aix-lsp-candidate-text candidate) (buffer-substring-no-properties beg (point))))))

(defun aix-lsp-ghost-word (text)
  "The part of TEXT that a step by word takes: a word with what stands before it."
  (if (string-match "\\`\\(?:[[:space:]\n]*[[:word:]_]+\\|[[:space:]\n]*[^[:word:]_[:space:]\n]+\\|[[:space:]\n]+\\)"
                    text)
      (match-string 0 text)
    text))

(defun aix-lsp-ghost-line (text)
  "The part of TEXT that a step by line takes, with the line break before it if it begins with one."
  (if (string-match "\\`\n*[^\n]*" text) (match-string 0 text) text))

(defun aix-lsp-ghost-accept (part)
  "Insert what the function PART makes of the offer; the rest stays shown.
Returns as `aix-lsp-ghost-follow' does."
  (let ((text (aix-lsp-ghost-text)))
    (unless text (user-error "Nothing is offered"))
    (let ((candidate (aix-lsp-ghost--candidate))
          (accepted aix-lsp-ghost--accepted))
      (undo-boundary)
      (insert (funcall part text))
      (let ((followed (aix-lsp-ghost-follow)))
        (when (and (eq followed 'whole) accepted)
          (funcall accepted candidate))
        followed))))

(defun aix-lsp-ghost-step (by)
  "Show the candidate BY places further on, around the end."
  (unless aix-lsp-ghost--shown (user-error "Nothing is offered"))
  (setq aix-lsp-ghost--index (mod (+ aix-lsp-ghost--index by) (length aix-lsp-ghost--candidates)))
  (aix-lsp-ghost--draw)
  (when (cdr aix-lsp-ghost--candidates)
    (let ((message-log-max nil))
      (message "aix: %d of %d" (1+ aix-lsp-ghost--index) (length aix-lsp-ghost--candidates)))))

(provide 'aix-lsp-ghost)
;;; aix-lsp-ghost.el ends here
